#!/usr/bin/env python3
"""`magellan validate` by the name that people type."""
import os
import sys

script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "validate_configs")
os.execv(script, [script, *sys.argv[1:]])
