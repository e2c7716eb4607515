#!/usr/bin/env python3
"""`magellan backtest` by the name that people type."""
import os
import sys

script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_backtest")
os.execv(script, [script, *sys.argv[1:]])
