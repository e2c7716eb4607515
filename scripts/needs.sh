# shellcheck shell=bash
# Sourced by the other scripts: what a machine may lack.

# provide KIND WHAT PACKAGE…: installs the packages where that is possible, as root with apt; elsewhere says
# in one line what is lacking. Fails if it is still lacking, and ends the script if MAGELLAN_REQUIRE names KIND.
provide() {
    local kind=$1 what=$2
    shift 2
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        if apt-get update && apt-get install -y --no-install-recommends "$@"; then return 0; fi
    fi
    echo "LACKING: $what; to have it, install the packages of your system like Debian's: $*" >&2
    case ",${MAGELLAN_REQUIRE:-}," in
        *[,\ ]"$kind"[,\ ]*)
            echo "MAGELLAN_REQUIRE names $kind, so this is a failure" >&2
            exit 1
            ;;
    esac
    return 1
}

# python_of_tests TARGET: MAGELLAN_PYTHON, a Python with the packages of scripts/requirements.txt, made in
# TARGET/venv unless it is named already. Without one the tests that need it say that they are skipped.
python_of_tests() {
    local venv=$1/venv
    [ -z "${MAGELLAN_PYTHON:-}" ] || return 0
    if [ ! -x "$venv/bin/python" ]; then
        if ! command -v python3 >/dev/null; then
            provide pypi "Python 3, for tests that compare with other programs" python3 python3-venv || return 0
        fi
        # Debian's python3 comes without venv, and leaves half of one.
        if ! python3 -m venv "$venv" >/dev/null 2>&1; then
            rm -rf "$venv"
            provide pypi "Python's module venv, for tests that compare with other programs" python3-venv || return 0
            python3 -m venv "$venv"
        fi
    fi
    if ! "$venv/bin/python" -m pip install --quiet --requirement scripts/requirements.txt; then
        echo "LACKING: the packages of scripts/requirements.txt, which pip could not install" >&2
        case ",${MAGELLAN_REQUIRE:-}," in *[,\ ]pypi[,\ ]*) exit 1 ;; esac
        return 0
    fi
    MAGELLAN_PYTHON=$(cd "$venv" && pwd)/bin/python
    export MAGELLAN_PYTHON
}

# browser_of_tests: CHROMIUM, unless it is named already.
browser_of_tests() {
    [ -z "${CHROMIUM:-}" ] || return 0
    CHROMIUM=$(command -v chromium || command -v chromium-browser || true)
    if [ -z "$CHROMIUM" ] && provide browser "Chromium, in which tests open the pages" chromium; then
        CHROMIUM=$(command -v chromium)
    fi
    # An empty name would be taken for a program.
    if [ -n "$CHROMIUM" ]; then export CHROMIUM; else unset CHROMIUM; fi
}
