# ---- Releases, commits, bound units: what is there, and what is wrong with it ----

named() { # FOLDER PATTERN: what is in it under such names
    local path
    for path in "$1"/*; do
        if [[ ${path##*/} =~ $2 && -d $path && ! -L $path ]]; then printf '%s\n' "${path##*/}"; fi
    done
}

# A line each. Nothing: it is as it was built.
release_faults() ( # FOLDER CONTENTS (may be empty: nobody said)
    local strange
    { [[ -d $1 && ! -L $1 ]] && cd -P -- "$1"; } || { echo "no release"; return; }
    # First: no byte of what others may write is believed, or opened.
    strange=$(find . \( ! -user root -o ! -group root \) -printf '%P: owner %u:%g\n' \
        -o -type d ! -perm 0555 -printf '%P: mode %m\n' \
        -o -type f -path ./magellan ! -perm 0555 -printf '%P: mode %m\n' \
        -o -type f ! -path ./magellan ! -perm 0444 -printf '%P: mode %m\n' \
        -o -type f -links +1 -printf '%P: has another name\n' \
        -o ! -type f ! -type d -printf '%P: not a file\n')
    [[ -z $strange ]] || { printf '%s\n' "$strange"; return; }
    [[ -f checksums && -f manifest.json && -f units ]] ||
        { echo "checksums, manifest.json or units is missing"; return; }
    [[ -z $2 || $(checksum checksums) == "$2" ]] || { echo "checksums: not those of the release"; return; }
    ! grep -qvE "^[0-9a-f]{64}  $NAME(/$NAME)*\$" checksums || { echo "checksums: not plain"; return; }
    { sha256sum --check --strict --quiet checksums 2>/dev/null || :; } | sed -n 's/: FAILED$/: changed/p'
    comm -3 <(find . -type f -printf '%P\n' | sort) <({ cut -c67- checksums; echo checksums; } | sort) |
        sed 's/^\t\(.*\)/\1: missing/; t; s/$/: too much/'
)

intact() { [[ -z $(release_faults "$1" "$2") ]]; } # FOLDER CONTENTS

# Git in the mirror, which knows no settings but these.
mirror() { # MIRROR ARGUMENTS OF GIT …
    GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git_ "$@"
}

git_() { # MIRROR ARGUMENTS OF GIT …
    GIT_DIR=$ROOT/$1 timeout --kill-after=5 300 git --no-optional-locks -c core.hooksPath=/dev/null \
        -c core.fsmonitor=false -c core.fileMode=true -c core.symlinks=true -c core.autocrlf=false \
        -c core.attributesFile=/dev/null -c gc.auto=0 -c maintenance.auto=false -c advice.detachedHead=false \
        -c fetch.recurseSubmodules=false -c protocol.ext.allow=never "${@:2}" 3>&- 9>&-
}

compared() { # FOLDER ARGUMENTS OF GIT …
    GIT_INDEX_FILE=$scratch/index GIT_WORK_TREE=$PWD/$1 mirror mirror.git "${@:2}"
}

# What differs from the commit, by the ids of the mirror's blobs. A fresh index: it can't say that a file is to be
# taken as unchanged.
commit_faults() ( # COMMIT FOLDER
    local strange
    [[ -d $2 && ! -L $2 ]] || { echo "no tree"; return; }
    strange=$(find "$2" \( ! -user root -o ! -group root \) -printf '%P: owner %u:%g\n' \
        -o ! -type l -perm /0222 -printf '%P: mode %m\n' -o -type f -links +1 -printf '%P: has another name\n')
    [[ -z $strange ]] || { printf '%s\n' "$strange"; return; }
    rm -f -- "$scratch"/index*
    compared "$2" read-tree "$1" || { echo "the mirror doesn't hold it"; return; }
    compared "$2" update-index -q --really-refresh || :
    { compared "$2" diff-files --name-only && compared "$2" ls-files --others; } || echo "it can't be compared"
)

bound() { # UNIT [LINK]: RELEASE-BINDING, or nothing
    local link
    link=$(readlink -- "units/$1/${2-current}") || return 0
    if [[ $link =~ ^[0-9a-f]{64}-[0-9a-f]{64}$ ]]; then printf %s "$link"; fi
}

bound_faults() ( # UNIT RELEASE-BINDING
    local found expected
    found=$(cd -P -- "units/$1/$2" && find . -type d -printf '%P d %m %U:%G\n' -o \
        -type f -printf '%P f %m %U:%G %n\n' -o -printf '%P %y %U:%G %l\n' | sort) ||
        { echo "nothing is bound"; return; }
    expected=" d 555 0:0
binding.json f 444 0:0 1
drop-in.conf f 444 0:0 1
release l 0:0 ../../../releases/${2%-*}"
    [[ $found == "$expected" ]] || { echo "units/$1/$2: files, owners or modes are wrong"; return; }
    cd -P -- "units/$1/$2"
    [[ $(checksum binding.json) == "${2#*-}" ]] || echo "binding.json: changed"
    grep -qE "\"drop_in_sha256\": *\"$(checksum drop-in.conf)\"" binding.json || echo "drop-in.conf: changed"
)

# Fills `units` and their tables from a release; refuses what isn't plain, since names become paths.
load_units() { # FOLDER
    local sum name file rest strategy
    units=() unit_file=()
    [[ -f $1/units ]] || return 1
    while IFS=' ' read -r sum name file rest || [[ -n $sum ]]; do
        strategy=${file#deployed/} strategy=${strategy%%/*}
        [[ $sum =~ $DIGEST && $name =~ $UNIT && $strategy =~ ^[a-z0-9_]+$ && -z $rest ]] || return 1
        [[ $file == "deployed/$strategy/$name.service" && -z ${unit_file[$name]-} ]] || return 1
        [[ -f $1/$file && -f $1/deployed/$strategy/config.json ]] || return 1
        units+=("$name") unit_file[$name]=$file
    done <"$1/units"
    ((${#units[@]} > 0))
}

listed() { # FOLDER PATH: the SHA-256 that the release's checksums say
    awk -v path="$2" 'substr($0, 67) == path { print substr($0, 1, 64) }' "$1/checksums"
}

commit_of() { # FOLDER: the commit that a release's manifest names
    sed -nE 's/.*"commit": *"([0-9a-f]{40}|[0-9a-f]{64})".*/\1/p' "$1/manifest.json" | head -n1
}

# Units that a deploy installed, or began to: what was there before is kept first and put back last.
installed() {
    local path
    for path in units/*/current "$DEPLOY"/foreign/*/; do
        path=${path%/} path=${path%/current}
        [[ ! -d $path || ! ${path##*/} =~ $UNIT ]] || printf '%s\n' "${path##*/}"
    done | sort -u
}

# From a complete folder beside it to one under its name. If something is there, it may be what runs: it is never
# away, each file is renamed over its altered self, and what is too much goes last.
place() { # STAGING TARGET; `placed` says whether it was new or mended
    local path
    sync -f "$1" || die disk "can't write $2"
    if [[ ! -e $2 && ! -L $2 ]]; then
        mv -T -- "$1" "$2" || die disk "can't rename $2"
        sync -f "${2%/*}"
        placed=new
        return
    fi
    [[ -d $2 && ! -L $2 ]] || rm -f -- "$2"
    while IFS= read -r -d '' path; do
        [[ -d $2/$path && ! -L $2/$path ]] || { rm -f -- "$2/$path" && mkdir -- "$2/$path"; } ||
            die disk "can't mend $2"
    done < <(cd -- "$1" && find . -type d -print0)
    while IFS= read -r -d '' path; do
        [[ ! -d $2/$path || -L $2/$path ]] || rm -rf -- "${2:?}/$path"
        { mv -fT -- "$1/$path" "$2/$path" && : >"$1/$path"; } || die disk "can't mend $2"
    done < <(cd -- "$1" && find . ! -type d -print0)
    while IFS= read -r -d '' path; do
        [[ -e $1/$path ]] || rm -rf -- "${2:?}/$path"
    done < <(cd -- "$2" && find . -depth -print0)
    find "$2" -type d -exec chown root:root {} + -exec chmod 0555 {} +
    sync -f "$2"
    placed=mended
}

