#!/usr/bin/env bash
# All that a deploy does on the machine, as root:   bash host.sh OP key=value …
#
# Operations that look:
#   facts [unit=NAME …] [journal=yes]
#   preflight [unit=NAME …] [remote=] [hostname=] [need_kib=] [need_mem_kib=]
#   logs unit=NAME [after=FILE:OFFSET | since=SECONDS-1970 | lines=N]
#   doctor [fix=yes generation=N] [trust=BASE64 of a trusted-keys file] [policy=SHA-256] [unit=NAME …]
#   page id= page=N
# Operations that change:
#   stage digest= contents= commit= remote= [source= [max_bytes=]] [binding=BASE64 drop_in=BASE64 bind=UNIT …]
#         [envelope=BASE64 …]
#   activate [unit=NAME:RELEASE:BINDING:UNITDIGEST …] [contents=RELEASE:SHA-256 …] [retire=NAME …] [force=yes]
#   deactivate [unit=NAME …]
#   record [line=] [bad=] [good=]
#   prune keep=N keep_days=D
# All take environment=NAME. Those that change need it, and generation=N, which never decreases; they wait [wait=60]
# seconds for the lock, and refuse if another environment owns the host. Values may hold anything: they are quoted,
# never evaluated.
#
# A release's `contents` is the SHA-256 of its file `checksums`. The deployer sends it, and nothing else is believed.
#
# Output, once, at the end: `magellan-host 2 ok OP` or `magellan-host 2 failed OP CODE: message`, then, if there are
# facts, `facts PAGE PAGES ID CHUNK`: a piece of base64 of gzip of lines, `key=value`, or `key:b64=…` if the value
# isn't plain ASCII. 20,000 characters at most: the rest is asked for by `page`, for a quarter of an hour; ID is `-` if
# there is one page. An empty value: there is none, or it isn't known; never 0 for that. Times are seconds since 1970
# with a fraction, UTC. Of those with a * there may be several, of which ENTRIES are said, and there is a NAME_count.
# `omitted=yes`: there would have been more than anybody reads.
#
#   always     of operations that change: log_file and, if they failed, log
#   facts      now hostname boot_id generation environment policy trusted* layout (new, old or none)
#              mem_total_kib disk_free_kib.{releases,state} release* bad* installed* untracked*
#              history* (`ID OUTCOME SHA-256 of the line without its end`, the last 50), failures (tail)
#              owner (what is under way; empty if nothing is), unsafe (why nothing below ROOT is believed)
#              release.D.contents release.D.manifest release.D.altered*      for each release that a unit is bound to
#              commit.C.altered*                                             for its commit
#              unit.U.PROPERTY        as systemd prints it, those of PROPERTIES; ExecMainStartTimestamp in seconds
#              unit.U.{release,binding,previous}         by the links: two digests, and `RELEASE-BINDING` before it
#              unit.U.bound_altered*                     what is wrong with the folder that it is bound to
#              unit.U.{started,started_pid,started_monotonic,started_boot}   unit digest and process of the activation
#              unit.U.exe                                SHA-256 of the file that its process runs
#              unit.U.{installed,released}.{unit,drop_in}   SHA-256; unit.U.template (yes or no: it is the release's)
#              unit.U.heartbeat unit.U.heartbeat_age     text, and seconds since it was written
#              unit.U.errors                             lines of a level from ERROR on since its start
#              unit.U.log{,_mtime,_size}                 newest log file touched since its start
#              unit.U.newest_log{,_mtime,_size}          newest of all
#              unit.U.stderr unit.U.stderr_errors        lines in the journal since its start, at most 10001
#              unit.U.journal                            if it isn't active, or asked for
#   preflight  now problem*                              problem: `CODE: what`
#   logs       log (whole lines, at most 256 KiB), cursor (for after=)
#   doctor     todo* (`CODE: command`), done* (codes), problem* (`CODE: what no command mends`)
#   stage      tree (new, mended or kept), fetched (yes or no), staged (new, mended or kept), version, bound*
#   activate   restarted* kept* removed* restored*, unit.U.{pid,started_monotonic,restarts} of each unit named,
#              unit.U.journal of the unit that didn't start
#   deactivate removed* restored*
#   record     recorded (new or already)
#   prune      pruned* (releases) running* pruned_commit* pruned_bound* pruned_history
#
# Codes, exit 1 unless said:
#   usage  disk (a write failed)  interrupted  unexpected  unsafe (a folder that isn't root's alone)
#   environment (another one owns the host)  busy (exit 75: another run holds the lock)
#   stale (exit 76: a later generation was here)
#   preflight; its problems: root tool user systemd hostname remote disk memory masked root-folder environment
#   stage: remote commit download digest tampered binary validate units unsigned untrusted
#   activate: incomplete bad masked enable restart; activate and deactivate: stop restart
#   doctor: doctor; page: gone
# shellcheck disable=SC2016 # variables of awk and of an inner bash
set -Eeuo pipefail

readonly ROOT=/opt/magellan ETC=/etc/magellan STATE=/var/lib/magellan DEPLOY=/var/lib/magellan-deploy
readonly RUN=/run/magellan UNITS=/etc/systemd/system TEMPLATE=magellan-failed@.service RUNS_AS=magellan
readonly CHUNK=19000 ENTRIES=1000 ALL_FACTS=7000000 # characters; whoever reads stops at 8 MiB
readonly LARGEST_RELEASE=2147483648 LARGEST_LOG=8388608 LOG_ANSWER=262144 # bytes
readonly DIGEST='^[0-9a-f]{64}$' COMMIT='^[0-9a-f]{40}([0-9a-f]{24})?$' NUMBER='^[0-9]{1,15}$'
readonly UNIT='^magellan-[a-z0-9][a-z0-9-]*$' BASE64='^[A-Za-z0-9+/]+={0,2}$'
# Names in a release: no component is empty, hidden, `.` or `..`, or looks like an option.
readonly NAME='[A-Za-z0-9_][A-Za-z0-9_@.-]*'
readonly PROPERTIES=Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainPID,ExecMainStartTimestamp\
,ExecMainStartTimestampMonotonic,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,User,Group,Type,Restart\
,WorkingDirectory,MemoryMax,WatchdogUSec,NoNewPrivileges,PrivateTmp,ProtectSystem,ProtectHome,Environment,ExecStart\
,InvocationID

# Plain variables for the arguments: `parse` fills only those of this list.
environment='' remote='' hostname='' need_kib=0 need_mem_kib=0 digest='' commit='' source='' max_bytes='' binding=''
drop_in='' force='' generation='' wait=60 line='' bad='' good='' keep='' keep_days='' journal='' after='' since=''
lines='' fix='' trust='' policy='' id='' page=''
asked=() contents=() bind=() retire=() envelope=()

op=${1-} code='' message='' spot='' locked='' log='' scratch='' wrong='' placed='' said=0
facts=() units=()
declare -A counts=() unit_file=() contents_of=() release_of=() binding_of=() digest_of=() shown=()

main() {
    exec 3>&1 >/dev/null 2>&1
    trap 'finish $?' EXIT
    trap 'spot="line $LINENO: $BASH_COMMAND"' ERR
    trap 'die interrupted "stopped by a signal"' HUP INT TERM
    settle_environment
    parse "${@:2}"
    make_scratch
    case $op in
        facts | preflight | logs | page | doctor) "op_$op" ;;
        # Not `begin && …`: what stands before an && isn't ended by its first failure.
        stage | activate | deactivate | record | prune)
            begin
            "op_$op" ;;
        *) die usage "no such operation" ;;
    esac
}

# The agent that runs this gives neither HOME nor a language; a person's shell gives too much.
settle_environment() {
    local name
    while IFS= read -r name; do
        case $name in GIT_* | SYSTEMD_* | LD_* | *_OPTIONS | MAGELLAN_*) unset "$name" ;; esac
    done < <(compgen -e)
    export HOME=/root LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    export GIT_TERMINAL_PROMPT=0 SYSTEMD_PAGER='' SYSTEMD_COLORS=0
    umask 022
    cd /
}

parse() {
    local pair key
    for pair in "$@"; do
        key=${pair%%=*}
        [[ $pair == *=* ]] || die usage "an argument isn't key=value"
        case $key in
            unit) asked+=("${pair#*=}") ;;
            contents) contents+=("${pair#*=}") ;;
            bind) bind+=("${pair#*=}") ;;
            retire) retire+=("${pair#*=}") ;;
            envelope) envelope+=("${pair#*=}") ;;
            environment | remote | hostname | need_kib | need_mem_kib | digest | commit | source | max_bytes | \
                binding | drop_in | force | generation | wait | line | bad | good | keep | keep_days | journal | \
                after | since | lines | fix | trust | policy | id | page)
                printf -v "$key" %s "${pair#*=}" ;;
            *) die usage "unknown argument $key" ;;
        esac
    done
    for key in need_kib need_mem_kib wait; do expect "$key" "$NUMBER" "a number"; done
    [[ -z $environment ]] || expect environment '^[a-z0-9][a-z0-9-]*$' "a word"
    [[ $op == activate ]] || all_units ${asked[@]+"${asked[@]}"}
    all_units ${bind[@]+"${bind[@]}"} ${retire[@]+"${retire[@]}"}
}

expect() { # VARIABLE PATTERN WHAT
    [[ ${!1} =~ $2 ]] || die usage "$1 must be $3"
}

all_units() { # NAME …
    local unit
    for unit in "$@"; do [[ $unit =~ $UNIT ]] || die usage "a unit must be named magellan-…"; done
}

# ---- What is said ----

die() { # CODE MESSAGE
    code=$1 message=$2
    case $code in busy) exit 75 ;; stale) exit 76 ;; *) exit 1 ;; esac
}

fact() { # KEY VALUE
    local text="$1=$2"
    [[ $2 != *[!\ -~]* ]] || text="$1:b64=$(printf %s "$2" | base64 -w0)"
    if ((said + ${#text} > ALL_FACTS)); then
        [[ ${facts[0]} == omitted=yes ]] || facts=(omitted=yes "${facts[@]}")
        return 0
    fi
    said=$((said + ${#text} + 1))
    facts+=("$text")
}

tally() { # KEY VALUE: one of several; `finish` says how many
    counts[$1]=$((${counts[$1]-0} + 1))
    ((counts[$1] > ENTRIES)) || fact "$1" "${2:0:400}"
}

list() { # KEY, lines on stdin
    local value
    counts[$1]=${counts[$1]-0}
    while IFS= read -r value; do tally "$1" "$value"; done
}

# On EXIT: undoes what a failure left half done, and says how it went.
finish() { # STATUS
    set +e
    trap - ERR
    trap '' HUP INT TERM
    local status=$1 key
    if ((status != 0)) && [[ -z $code ]]; then code=unexpected message=$spot status=1; fi
    if [[ -n $locked ]]; then
        sweep
        fact log_file "$log"
        [[ -z $code ]] || fact log "$(tail -c 4000 -- "$log" | tr -d '\0')"
    fi
    for key in "${!counts[@]}"; do fact "${key}_count" "${counts[$key]}"; done
    [[ -z $scratch ]] || rm -rf -- "$scratch"
    report >&3
    exit "$status"
}

report() {
    local says packed='' pages=1 paper=-
    if ((${#facts[@]} > 0)); then packed=$(printf '%s\n' "${facts[@]}" | gzip -9n | base64 -w0); fi
    if ((${#packed} > CHUNK)); then
        pages=$(((${#packed} + CHUNK - 1) / CHUNK))
        paper=$(tr -d - </proc/sys/kernel/random/uuid)
        if ! (umask 077 && printf %s "$packed" >"$RUN/$paper"); then
            rm -f -- "$RUN/$paper"
            code=disk message="can't keep what there is to say" status=1 packed=''
        fi
    fi
    says="ok $op"
    if [[ -n $code ]]; then
        [[ $op =~ ^[a-z]{1,20}$ ]] || op=unknown
        says="failed $op $code: ${message//[!\ -~]/ }"
    fi
    printf 'magellan-host 2 %s\n' "${says:0:600}"
    [[ -z $packed ]] || printf 'facts 1 %s %s %s\n' "$pages" "$paper" "${packed:0:CHUNK}"
}

op_page() {
    local packed pages
    expect id '^[0-9a-f]{32}$' "a page's id"
    expect page '^[1-9][0-9]{0,3}$' "a number from 1 on"
    [[ -f $RUN/$id ]] || die gone "these facts aren't kept any more"
    packed=$(<"$RUN/$id")
    pages=$(((${#packed} + CHUNK - 1) / CHUNK))
    ((page <= pages)) || die usage "there are $pages pages"
    trap - EXIT
    rm -rf -- "$scratch"
    packed=${packed:(page - 1) * CHUNK:CHUNK}
    printf 'magellan-host 2 ok page\nfacts %s %s %s %s\n' "$page" "$pages" "$id" "$packed" >&3
    exit 0
}

# Runs a command whose output goes to the log, but not without end; not even a full disk stops it. It doesn't get the
# real output, which whoever waits for this script would otherwise wait for if only this script is killed.
logged() { # COMMAND …
    "$@" 2>&1 3>&- | { head -c 65536 || :; cat >/dev/null; }
}

# ---- What may be touched ----

# Into a folder, step by step from /. Each step must be root's, writable by nobody else and no link, and the folder
# that is then open must be the one that was looked at. What is done from there on is relative to it.
enter() { # FOLDER; if it can't, `wrong` says why
    local parts part path='' seen
    IFS=/ read -ra parts <<<"$1"
    cd /
    for part in "${parts[@]}"; do
        path=${path%/}/$part
        part=./$part
        seen=$(stat -c '%F %u %d:%i %a' -- "$part") || { wrong="there is no $path"; return 1; }
        [[ $seen == "directory 0 "* ]] || { wrong="$path isn't a folder of root's"; return 1; }
        (((8#${seen##* } & 8#22) == 0)) || { wrong="$path is writable by others than root"; return 1; }
        cd -P -- "$part" || { wrong="$path can't be entered"; return 1; }
        [[ $(stat -c '%F %u %d:%i %a' .) == "$seen" ]] || { wrong="$path was swapped"; return 1; }
    done
}

own_folder() { # FOLDER MODE: made, if need be, and entered
    [[ -e $1 || -L $1 ]] || install -d -m "$2" -- "$1" || die disk "can't make $1"
    enter "$1" || die unsafe "$wrong"
}

# A folder of this run, in memory.
make_scratch() {
    ((EUID == 0)) || return 0
    own_folder "$RUN" 0700
    find . -mindepth 1 -maxdepth 1 \( -name 'work.*' -mmin +1440 -o ! -name 'work.*' -mmin +15 \) -exec rm -rf {} +
    scratch=$(mktemp -d "$RUN/work.XXXXXXXX") || die disk "can't write to $RUN"
    cd "$scratch"
}

# ROOT, to look only. Where it can't be believed, an empty folder: names relative to it lead nowhere.
look_into_root() {
    enter "$ROOT" && return
    fact unsafe "$wrong"
    cd "$scratch"
}

# Without a session, which would be noted each time, without a terminal and without a way back to more rights. Files
# of the services' user are touched by nobody else, lest a link in them leads elsewhere.
as_user() { # SECONDS COMMAND …
    setsid --wait timeout --kill-after=5 "$1" \
        setpriv --reuid="$RUNS_AS" --regid="$(id -g "$RUNS_AS")" --init-groups --no-new-privs -- \
        env -i PATH="$PATH" HOME=/ LC_ALL=C TZ=UTC ${MAGELLAN_HOST_RUN+MAGELLAN_HOST_RUN=} "${@:2}" 3>&- 9>&-
}

# Without the lock: if only this script is killed, systemd goes on and the next run mustn't wait for it.
systemctl_() { logged timeout 240 systemctl "$@" 9>&-; } # ARGUMENTS …

word() { # FILE: its first line, if it has one
    local text=''
    [[ ! -f $1 ]] || IFS= read -r text <"$1" || :
    printf %s "$text"
}

checksum() { # FILE: empty if there is none
    [[ ! -f $1 ]] || sha256sum <"$1" | cut -c1-64
}

put() { # FILE TEXT: replaced whole, or not at all
    { printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -fT -- "$1.new" "$1"; } || die disk "can't write $1"
}

# ---- Only one at a time, and never an earlier one ----

begin() {
    local folder recorded
    expect generation "$NUMBER" "a number"
    [[ -n $environment ]] || die usage "environment is needed"
    enter "$UNITS" || die unsafe "$wrong"
    own_folder "$STATE" 0755
    own_folder "$ETC" 0755
    own_folder "$DEPLOY" 0700
    { chmod 0700 . && mkdir -p log started bad foreign records; } || die disk "can't make folders in $DEPLOY"
    { exec 9>>lock; } || die disk "can't open the lock"
    flock -w "$wait" 9 || die busy "another run holds the host: $(word owner)"
    recorded=$(word generation)
    ((10#$generation >= 10#${recorded:-0})) || die stale "generation $generation, but $recorded was here"
    refuse_other_environment
    for folder in /releases /commits /units ''; do own_folder "$ROOT$folder" 0755; done
    end_leftovers
    locked=yes
    open_log
    sweep
    put "$DEPLOY/generation" "$generation"
    put "$DEPLOY/owner" "$op of $environment, generation $generation, process $$"
}

owned_by() { word "$ETC/environment"; }

refuse_other_environment() {
    [[ $(owned_by) =~ ^("$environment")?$ ]] || die environment "this host belongs to $(owned_by), not to $environment"
}

# What a killed run left running would change things under this one. Everything that a run starts has this variable,
# and only the holder of the lock starts something with it.
end_leftovers() {
    local file tries
    for ((tries = 0; tries < 50; tries++)); do
        file=$(grep -lsz '^MAGELLAN_HOST_RUN=' /proc/[0-9]*/environ) || :
        [[ -n $file ]] || break
        while IFS=/ read -r _ _ file _; do kill -KILL "$file" || :; done <<<"$file"
        sleep 0.1
    done
    export MAGELLAN_HOST_RUN=''
}

open_log() {
    local old
    printf -v log '%s/log/%(%s)T-%s-%s.log' "$DEPLOY" -1 "$op" "$$"
    { : >"$log"; } || log=/dev/null
    exec >>"$log" 2>&1
    old=("$DEPLOY"/log/*.log)
    ((${#old[@]} <= 500)) || rm -f -- "${old[@]:0:${#old[@]}-500}"
}

# Removes what this run or a killed one left unfinished. Only under the lock.
sweep() {
    cd "$ROOT" || return 0
    rm -rf -- {.,releases,commits,units,units/*}/.{staging,download,new}-*
    rm -rf -- "$DEPLOY"/*.new "$DEPLOY"/*/.new-* "$DEPLOY"/*/*.new "$ETC"/*.new
    rm -rf -- "$UNITS"/.*.magellan-new "$UNITS"/*.d/.*.magellan-new
}

out_of_room() { # FOLDER, where something failed
    local full=''
    head -c 262144 /dev/zero >"$1/.new-probe" || full=yes
    rm -f -- "$1/.new-probe"
    [[ -n $full ]] || tail -n 40 -- "$log" | grep -qE 'No space left|Disk quota'
}

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

# ---- stage: commit, release and bindings beside the others; no unit is touched ----

op_stage() {
    local release=releases/$digest unit
    expect digest "$DIGEST" "64 hexadecimal digits"
    expect commit "$COMMIT" "a commit's whole id"
    [[ ${#contents[@]} == 1 && ${contents[0]} =~ $DIGEST ]] || die usage "contents must be 64 hexadecimal digits"
    read_binding
    read_envelopes
    demand_release
    stage_commit
    if intact "$release" "${contents[0]}"; then
        fact staged kept
        hold_to "$release"
    else
        download
        unpack
        hold_to "releases/.staging-$digest"
        try_binary
        place "releases/.staging-$digest" "$release"
        fact staged "$placed"
        intact "$release" "${contents[0]}" || die tampered "the release isn't what was unpacked"
    fi
    for unit in ${bind[@]+"${bind[@]}"}; do bind_unit "$unit"; done
    [[ -n $(owned_by) ]] || put "$ETC/environment" "$environment"
}

# Whatever else must be true of a release whose bytes are the deployer's.
hold_to() { # FOLDER
    local unit
    load_units "$1" || die units "its list of units isn't plain"
    [[ $(commit_of "$1") == "$commit" ]] || die tampered "its manifest names another commit"
    for unit in ${bind[@]+"${bind[@]}"}; do
        [[ -n ${unit_file[$unit]-} ]] || die units "it has no unit $unit"
        demand_verdict "$1" "$unit"
    done
    verify_units "$1"
}

read_binding() {
    [[ -n $binding$drop_in || ${#bind[@]} -gt 0 ]] || return 0
    expect binding "$BASE64" "base64"
    expect drop_in "$BASE64" "base64"
    { base64 -d <<<"$binding" >"$scratch/binding.json" && base64 -d <<<"$drop_in" >"$scratch/drop-in.conf"; } ||
        die usage "binding and drop_in must be base64"
    grep -qE "\"drop_in_sha256\": *\"$(checksum "$scratch/drop-in.conf")\"" "$scratch/binding.json" ||
        die usage "the binding names another drop-in"
    grep -qE "\"environment\": *\"$environment\"" "$scratch/binding.json" ||
        die usage "the binding is another environment's"
}

bind_unit() { # UNIT
    local folder staging faults
    folder=$digest-$(checksum "$scratch/binding.json")
    staging=units/$1/.staging-$folder
    own_folder "$ROOT/units/$1" 0755
    cd "$ROOT"
    if [[ -n $(bound_faults "$1" "$folder") ]]; then
        { mkdir -- "$staging" && ln -sT -- "../../../releases/$digest" "$staging/release" &&
            install -m 0444 -- "$scratch"/{binding.json,drop-in.conf} "$staging" && chmod 0555 "$staging"; } ||
            die disk "can't bind $1"
        place "$staging" "units/$1/$folder"
        faults=$(bound_faults "$1" "$folder")
        [[ -z $faults ]] || die unsafe "$faults"
    fi
    tally bound "$1"
}

# -- the commit --

stage_commit() {
    local tree=commits/$commit fresh=commits/.staging-$commit
    tend_mirror
    if has_commit mirror.git; then fact fetched no; else fetch_commit; fi
    if [[ -z $(commit_faults "$commit" "$tree") ]]; then fact tree kept && return; fi
    write_tree "$fresh" || {
        ! out_of_room commits || die disk "can't write the commit's tree"
        rebuild_mirror
        write_tree "$fresh" || { out_of_room commits && die disk "can't write the commit's tree"; } ||
            die commit "the tree of $commit can't be written"
    }
    place "$fresh" "$tree"
    fact tree "$placed"
}

# A mirror that root's alone made; a git that was killed leaves locks and halves.
tend_mirror() {
    local strange
    if [[ -e mirror.git || -L mirror.git ]]; then
        strange=$(find mirror.git \( ! -user root -o -type l -o -perm /0022 \) -print -quit)
        if [[ ! -d mirror.git || -n $strange ]]; then
            mv -T mirror.git .staging-mirror.git
        else
            find mirror.git \( -name '*.lock' -o -name 'tmp_*' -o -name gc.pid \) -exec rm -rf {} + || :
        fi
    fi
    if [[ -d mirror.git ]]; then settle_mirror mirror.git; fi
}

settle_mirror() { # MIRROR: nothing that it says is believed but its objects
    rm -rf -- "$1/hooks" "$1/objects/info/alternates" "$1/config.worktree"
    mkdir -p -- "$1/info" && put "$1/config" $'[core]\n\trepositoryformatversion = 0\n\tbare = true' &&
        put "$1/info/attributes" "* -text -eol -filter -ident -working-tree-encoding"
}

has_commit() { mirror "$1" cat-file -e "$commit^{tree}"; } # MIRROR

fetch_commit() {
    if fetch_into mirror.git && has_commit mirror.git; then fact fetched yes && return; fi
    ! out_of_room . || die disk "can't fetch"
    reachable || die remote "the remote can't be fetched"
    rebuild_mirror
    fact fetched yes
}

# With the machine's own settings, which may hold what the remote asks for.
fetch_into() { # MIRROR
    local failed=0
    [[ -d $1 ]] || return 1
    expect_remote
    logged git_ "$1" fetch --force --prune --no-tags -- "$remote" '+refs/heads/*:refs/heads/*' || failed=1
    # A branch may have moved on and left the commit behind.
    has_commit "$1" || logged git_ "$1" fetch --no-tags -- "$remote" "$commit" || failed=1
    # Kept, whatever becomes of its branch.
    ! has_commit "$1" || logged mirror "$1" update-ref "refs/magellan/$commit" "$commit" || failed=1
    return "$failed"
}

expect_remote() {
    [[ -n $remote && $remote != -* && $remote != *::* && $remote != *[!\!-~]* ]] || die usage "remote must be a URL"
}

reachable() {
    logged timeout 60 git -c core.hooksPath=/dev/null -c protocol.ext.allow=never ls-remote -- "$remote" HEAD 9>&-
}

# Under another name, then renamed. What older commits need comes along, if it can.
rebuild_mirror() {
    local new=.new-mirror.git
    rm -rf -- "$new" .staging-mirror.git
    { logged mirror "$new" init --quiet --bare --template= "$ROOT/$new" && settle_mirror "$new"; } ||
        die disk "can't make a mirror"
    if ! fetch_into "$new" && ! has_commit "$new"; then
        ! out_of_room . || die disk "can't fetch"
        die commit "the remote has no commit $commit"
    fi
    [[ ! -d mirror.git ]] ||
        logged mirror "$new" fetch --no-tags -- "$ROOT/mirror.git" '+refs/magellan/*:refs/magellan/*' || :
    sync -f "$new" || die disk "can't fetch"
    [[ ! -e mirror.git ]] || mv -T mirror.git .staging-mirror.git
    mv -T "$new" mirror.git
    rm -rf -- .staging-mirror.git
}

write_tree() { # FOLDER
    rm -rf -- "$1" "$scratch"/index*
    { mkdir -- "$1" && logged compared "$1" read-tree "$commit" &&
        logged compared "$1" checkout-index --all --force; } || return 1
    find "$1" \( -type d -o -type f -perm /0100 \) -exec chmod 0555 {} + -o -type f -exec chmod 0444 {} +
    sync -f "$1" && [[ -z $(commit_faults "$commit" "$1") ]]
}

# -- the bundle --

download() {
    package=releases/.download-$digest
    case $source in
        /*)
            [[ -f $source ]] || die download "there is no such file"
            cp -- "$source" "$package" || die disk "can't copy the bundle" ;;
        *) fetch_url ;;
    esac
    [[ $(sha256sum <"$package") == "$digest  -" ]] || die digest "the bundle isn't $digest"
}

# The URL is a credential for a while: it is neither said nor shown among curl's arguments.
fetch_url() {
    local proxy=() failed=0 loopback='^http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?/'
    [[ $source != *[!\!-~]* && $source != *[\\\"]* ]] || die usage "source has characters that no URL has"
    if [[ $source =~ $loopback ]]; then proxy=(--noproxy '*'); else
        [[ $source == https://* ]] || die usage "source must be an https URL or an absolute path"
    fi
    expect max_bytes "$NUMBER" "a number, for a source that is a URL"
    # The second limit is for a server that doesn't say how much it sends.
    printf 'url = "%s"\n' "$source" | (
        ulimit -f $((10#$max_bytes / 1024 + 1))
        logged curl -q --config - --fail --silent --show-error --location --max-redirs 3 \
            --proto =http,https --proto-redir =https --globoff ${proxy[@]+"${proxy[@]}"} --connect-timeout 10 \
            --max-time 300 --retry 4 --retry-delay 2 --retry-max-time 300 --max-filesize "$((10#$max_bytes))" \
            --output "$package" 9>&-) || failed=$?
    ((failed != 23)) || die disk "can't write the bundle"
    ((failed != 63 && failed != 153)) || die download "it is larger than $max_bytes bytes"
    ((failed == 0)) || die download "curl ended with exit code $failed"
}

archive() { # ARGUMENTS OF TAR …
    zstd -dcq --memory=256MB -- "$package" | head -c "$LARGEST_RELEASE" | tar --quoting-style=escape "$@"
}

# Only plain files and folders under plain names, exactly those of its checksums, are ever written.
unpack() {
    local staging=releases/.staging-$digest kinds strange found wanted faults
    kinds=$(archive --list --verbose | cut -c1 | sort -u | tr -d '\n') || die tampered "it isn't a readable tar.zst"
    [[ $kinds == - || $kinds == -d ]] || die tampered "it holds other than files and folders"
    strange=$(archive --list | sed -E "s#/\$##; \\#^$NAME(/$NAME)*\$#d") || die tampered "it can't be listed"
    [[ -z $strange ]] || die tampered "it holds the path ${strange:0:200}"
    found=$(archive --list | sed '/\/$/d' | sort)
    wanted=$({ archive --extract --to-stdout checksums | cut -c67-; echo checksums; } | sort) ||
        die tampered "it holds no checksums"
    [[ $found == "$wanted" ]] || die tampered "its files aren't those of its checksums"
    { mkdir -- "$staging" && archive --extract --no-same-owner --no-same-permissions --directory "$staging"; } ||
        die disk "can't unpack it"
    find "$staging" -type d -exec chmod 0555 {} + -o -type f -exec chmod 0444 {} +
    chmod 0555 -- "$staging/magellan" || die tampered "it holds no binary"
    faults=$(release_faults "$staging" "${contents[0]}")
    [[ -z $faults ]] || die tampered "${faults:0:200}"
}

# On this machine, as the services' user: a wrong glibc shows here, not when the services stop. Bars aren't asked for:
# whether they suffice was the gate's question.
try_binary() {
    local folder=$ROOT/releases/.staging-$digest version
    tried 60 "$folder/magellan" --version || die binary "it doesn't run here: $(head -c 300 "$scratch/said")"
    version=$(head -c 300 "$scratch/said" | tr -d '\0')
    fact version "$version"
    tried 300 "$folder/magellan" validate --without-archive --deployed "$folder/deployed" ||
        die validate "its validate fails here"
}

# Into a file of limited size, not a pipe: what it leaves running holds nobody up.
tried() { # SECONDS COMMAND …
    local failed=0
    (ulimit -f 4096; as_user "$@" >"$scratch/said" 2>&1) || failed=$?
    head -c 65536 -- "$scratch/said" || :
    return "$failed"
}

# With paths of the folder it is in now: `current` still leads to the former release, or nowhere.
verify_units() { # FOLDER
    local folder=$scratch/units unit text found ignored failed=0 strategy program
    [[ -f $1/$TEMPLATE ]] || die units "it lacks $TEMPLATE"
    rm -rf -- "$folder"
    { mkdir -- "$folder" && cp -- "$1/$TEMPLATE" "$folder"; } || die disk "can't copy units"
    for unit in "${units[@]}"; do
        text=$(<"$1/${unit_file[$unit]}")
        strategy=${unit_file[$unit]#deployed/} strategy=${strategy%%/*}
        program=$ROOT/units/$unit/current/release/magellan
        [[ $(grep -E '^\s*(User|Group|Exec\w+)\s*=' <<<"$text" | sort) == "ExecStart=$program run --strategy $strategy\
 --state-dir $STATE/$strategy
User=$RUNS_AS" ]] || die units "$unit starts something else, or as another user"
        # Quoted, since an & in the replacement would mean the match.
        text=${text//"$program"/"$PWD/$1/magellan"}
        { printf '%s\n' "$text" >"$folder/$unit.service" && mkdir -- "$folder/$unit.service.d"; } ||
            die disk "can't copy units"
        [[ ! -f $scratch/drop-in.conf ]] || cp -- "$scratch/drop-in.conf" "$folder/$unit.service.d/magellan.conf" ||
            die disk "can't copy units"
    done
    found=$(timeout 60 systemd-analyze verify --man=no "$folder"/*.service 2>&1) || failed=$?
    printf '%s\n' "${found:0:20000}"
    # A key that systemd ignores protects nobody, but isn't a failure to it.
    ignored=$(printf '%s\n' "$found" | grep -F -- "$folder/" | grep -i ignor) || ignored=''
    [[ -z $ignored ]] || die units "systemd ignores a line: ${ignored//"$folder/"/}"
    ((failed == 0)) || die units "systemd refuses a unit: ${found//"$folder/"/}"
}

# -- signatures: who may say what is root's decision, in /etc/magellan --

# Fills `statements` with `,ROLE,…, STATEMENT` of each signature that holds.
read_envelopes() {
    local one text payload rest keyid signature roles
    statements=() untrusted=''
    [[ -e $ETC/trusted-keys || -L $ETC/trusted-keys ]] || return 0
    [[ -z $(find "$ETC"/{trusted-keys,policy} -maxdepth 0 \( ! -type f -o ! -user root -o -perm /0022 \)) ]] ||
        die unsafe "trusted-keys or policy isn't a file of root's alone"
    for one in ${envelope[@]+"${envelope[@]}"}; do
        text=$(base64 -d <<<"$one" | tr -d '\0') || die usage "envelope must be base64"
        [[ $text =~ \"payloadType\":\"application/vnd\.magellan\.statement\+json\" ]] || continue
        [[ $text =~ \"payload\":\"([A-Za-z0-9+/]+=?=?)\" ]] || continue
        base64 -d <<<"${BASH_REMATCH[1]}" >"$scratch/body" || continue
        payload=$(tr -d '\0' <"$scratch/body")
        { printf 'DSSEv1 39 application/vnd.magellan.statement+json %s ' "$(stat -c %s "$scratch/body")" &&
            cat "$scratch/body"; } >"$scratch/signed"
        rest=$text
        while [[ $rest =~ \{\"keyid\":\"([0-9a-f]{64})\",\"sig\":\"([A-Za-z0-9+/]+=?=?)\"\}(.*) ]]; do
            keyid=${BASH_REMATCH[1]} signature=${BASH_REMATCH[2]} rest=${BASH_REMATCH[3]}
            roles=$(trusted_roles "$keyid")
            if [[ -n $roles ]] && holds "$keyid" "$signature"; then statements+=(",$roles, $payload")
            else untrusted=yes; fi
        done
    done
}

trusted() { grep -E '^[a-z,]+ [0-9a-f]{64} [A-Za-z0-9+/]{43}= ' "$ETC/trusted-keys" || :; }

trusted_roles() { # KEYID; leaves the public key in DER, Ed25519
    local roles keyid raw
    while read -r roles keyid raw _; do
        [[ $keyid == "$1" && $(base64 -d <<<"$raw" | sha256sum) == "$keyid  -" ]] || continue
        { printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00' && base64 -d <<<"$raw"; } >"$scratch/$keyid.der"
        printf %s "$roles"
        return
    done < <(trusted)
}

holds() { # KEYID SIGNATURE
    base64 -d <<<"$2" >"$scratch/signature" || return 1
    logged openssl pkeyutl -verify -pubin -keyform DER -inkey "$scratch/$1.der" -rawin -in "$scratch/signed" \
        -sigfile "$scratch/signature"
}

# Whether somebody with the role stated it. Flat objects of plain strings; each name is there once.
stated() { # ROLE "NAME":VALUE …
    local one part body
    for one in ${statements[@]+"${statements[@]}"}; do
        body=${one#* }
        [[ ${one%% *} == *",$1,"* && $body == "{"*"}" ]] || continue
        for part in "${@:2}"; do
            # Once, and delimited on both sides; in a string it would be escaped.
            [[ $body =~ [{,]"$part"[,}] && ${body#*"${part%%:*}:"} != *"${part%%:*}:"* ]] || continue 2
        done
        return 0
    done
    return 1
}

unsigned() { # WHAT
    [[ -z $untrusted ]] || die untrusted "$1: a signature doesn't hold, or isn't by a trusted key"
    die unsigned "$1"
}

demand_release() {
    local pinned=()
    [[ -e $ETC/trusted-keys ]] || return 0
    pinned_policy
    stated release '"type":"magellan-release-1"' "\"release\":\"$digest\"" "\"contents\":\"${contents[0]}\"" \
        "\"commit\":\"$commit\"" ${pinned[@]+"${pinned[@]}"} || unsigned "nobody trusted released $digest"
}

pinned_policy() {
    [[ ! -e $ETC/policy ]] || pinned=("\"policy\":\"$(word "$ETC/policy")\"")
}

demand_verdict() { # FOLDER UNIT
    local pinned=() strategy status path=${unit_file[$2]}
    [[ -e $ETC/trusted-keys ]] || return 0
    pinned_policy
    strategy=${path#deployed/} strategy=${strategy%%/*}
    ! stated override '"type":"magellan-override-1"' "\"release\":\"$digest\"" || return 0
    for status in PASS WARN; do
        ! stated verdict '"type":"magellan-verdict-1"' "\"strategy\":\"$strategy\"" "\"status\":\"$status\"" \
            "\"binary\":\"$(listed "$1" magellan)\"" "\"unit\":\"$(listed "$1" "$path")\"" \
            "\"config\":\"$(listed "$1" "deployed/$strategy/config.json")\"" ${pinned[@]+"${pinned[@]}"} || return 0
    done
    unsigned "nobody trusted judged $strategy as it is in $digest"
}

# ---- activate: exactly the named units, each from one complete release to another ----

op_activate() {
    local unit
    read_targets
    check_targets
    refuse_masked
    write_beside
    for unit in ${units[@]+"${units[@]}"}; do keep_foreign "$unit"; done
    keep_template
    forget_changed
    for unit in ${units[@]+"${units[@]}"}; do switch "$unit"; done
    if ((${#units[@]} > 0)); then
        mv -fT -- "$UNITS/.$TEMPLATE.magellan-new" "$UNITS/$TEMPLATE"
        sync -f "$UNITS" && sync -f units
        systemctl_ daemon-reload || die enable "daemon-reload failed"
        systemctl_ enable "${units[@]/%/.service}" || die enable "can't enable the units"
    fi
    for unit in ${retire[@]+"${retire[@]}"}; do retire_unit "$unit"; done
    for unit in ${units[@]+"${units[@]}"}; do
        if settled "$unit"; then tally kept "$unit"; else restart "$unit"; fi
        process_facts "$unit"
    done
}

read_targets() {
    local one parts
    for one in ${contents[@]+"${contents[@]}"}; do
        [[ ${one%%:*} =~ $DIGEST && ${one#*:} =~ $DIGEST ]] || die usage "contents must be RELEASE:SHA-256"
        contents_of[${one%%:*}]=${one#*:}
    done
    ((${#asked[@]} + ${#retire[@]} > 0)) || die usage "a unit is needed"
    for one in ${asked[@]+"${asked[@]}"}; do
        IFS=: read -ra parts <<<"$one"
        [[ ${#parts[@]} == 4 && ${parts[0]} =~ $UNIT && ${parts[1]} =~ $DIGEST && ${parts[2]} =~ $DIGEST &&
            ${parts[3]} =~ $DIGEST && -z ${release_of[${parts[0]}]-} && $one != *[!a-z0-9:-]* ]] ||
            die usage "unit must be NAME:RELEASE:BINDING:UNITDIGEST, each once"
        units+=("${parts[0]}")
        release_of[${parts[0]}]=${parts[1]} binding_of[${parts[0]}]=${parts[2]} digest_of[${parts[0]}]=${parts[3]}
    done
}

check_targets() {
    local unit release named faults checked=' ' wanted=("${units[@]+"${units[@]}"}")
    for unit in ${wanted[@]+"${wanted[@]}"}; do
        release=${release_of[$unit]}
        if [[ $checked != *" $release "* ]]; then check_release "$release"; fi
        checked+="$release "
        { load_units "releases/$release" && [[ -n ${unit_file[$unit]-} ]]; } ||
            die incomplete "$release has no unit $unit"
        enter "$ROOT/units/$unit" || die incomplete "$wrong"
        cd "$ROOT"
        faults=$(bound_faults "$unit" "$release-${binding_of[$unit]}")
        [[ -z $faults ]] || die incomplete "$faults"
        named=$(made_of "$unit" "$release" "${binding_of[$unit]}")
        [[ $named == "${digest_of[$unit]}" ]] || die incomplete "$unit is made of $named there"
    done
    units=(${wanted[@]+"${wanted[@]}"})
}

check_release() { # RELEASE
    local faults tree
    [[ -n ${contents_of[$1]-} ]] || die usage "contents of $1 is needed"
    [[ ! -e $DEPLOY/bad/$1 || $force == yes ]] || die bad "$1 failed before"
    faults=$(release_faults "releases/$1" "${contents_of[$1]}")
    [[ -z $faults ]] || die incomplete "release $1: ${faults:0:200}"
    tree=$(commit_of "releases/$1")
    faults=$(commit_faults "$tree" "commits/$tree")
    [[ -z $faults ]] || die incomplete "commit $tree: ${faults:0:200}"
}

made_of() { # UNIT RELEASE BINDING: the unit digest
    local folder=releases/$2 path=${unit_file[$1]}
    printf '%s\n' "$(listed "$folder" magellan)" "$(listed "$folder" "${path%/*}/config.json")" \
        "$(listed "$folder" "$path")" "$3" | sha256sum | cut -c1-64
}

refuse_masked() {
    local unit
    for unit in ${units[@]+"${units[@]}"}; do
        [[ $(systemctl show -p LoadState "$unit.service") != LoadState=masked ]] || die masked "$unit is masked"
    done
}

# Everything that needs room, before anything changes: what is left are renames.
write_beside() {
    local unit release target former drop_ins
    for unit in ${units[@]+"${units[@]}"}; do
        release=releases/${release_of[$unit]} drop_ins=$UNITS/$unit.service.d
        target=${release#*/}-${binding_of[$unit]} former=$(bound "$unit")
        load_units "$release" || die incomplete "its list of units isn't plain"
        { mkdir -p -- "$drop_ins" &&
            install -m 0644 -- "units/$unit/$target/drop-in.conf" "$drop_ins/.magellan.conf.magellan-new" &&
            install -m 0644 -- "$release/${unit_file[$unit]}" "$UNITS/.$unit.service.magellan-new" &&
            install -m 0644 -- "$release/$TEMPLATE" "$UNITS/.$TEMPLATE.magellan-new" &&
            ln -sT -- "$target" "units/$unit/.new-current" &&
            printf '%-200s\n' '' >"$DEPLOY/started/.new-$unit"; } || die disk "can't write $unit"
        [[ -z $former || $former == "$target" ]] || ln -sT -- "$former" "units/$unit/.new-previous" ||
            die disk "can't write $unit"
    done
    units=(${asked[@]+"${asked[@]%%:*}"}) # load_units had it
    { sync -f "$UNITS" && sync -f units && sync -f "$DEPLOY"; } || die disk "can't write units"
}

# What runs or lies there and isn't ours is somebody's: it comes back if ours is retired. Ours is what has such a
# folder, so it is written first.
keep_foreign() { # UNIT
    local folder=$DEPLOY/foreign/.new-$1
    [[ ! -d $DEPLOY/foreign/$1 ]] || return 0
    mkdir -- "$folder" || die disk "can't keep what $1 was"
    if [[ ! -L units/$1/current ]]; then
        { keep_file "$UNITS/$1.service" "$folder/unit" &&
            keep_file "$UNITS/$1.service.d/magellan.conf" "$folder/drop-in" &&
            { systemctl is-enabled "$1.service" || :; } >"$folder/enabled" &&
            systemctl show -p ActiveState "$1.service" >"$folder/active"; } || die disk "can't keep what $1 was"
    fi
    sync -f "$folder" || die disk "can't keep what $1 was"
    mv -T -- "$folder" "$DEPLOY/foreign/$1"
}

keep_file() { # FILE COPY
    [[ ! -e $1 && ! -L $1 ]] || cp -a -- "$1" "$2"
}

keep_template() { # empty: there was none
    local kept=$DEPLOY/foreign/$TEMPLATE
    [[ ! -e $kept && ${#units[@]} -gt 0 ]] || return 0
    { : >"$kept.new" && keep_file "$UNITS/$TEMPLATE" "$kept.new" && mv -T -- "$kept.new" "$kept"; } ||
        die disk "can't keep $TEMPLATE"
}

# Before the switch: a unit that crashes after it comes back as the new release, so what it was started with last is
# unknown until it is restarted, or the way back would keep it.
forget_changed() {
    local unit
    for unit in ${units[@]+"${units[@]}"}; do
        [[ $(word "$DEPLOY/started/$unit") == "${digest_of[$unit]} "* ]] || rm -f -- "$DEPLOY/started/$unit"
    done
}

switch() { # UNIT
    mv -fT -- "$UNITS/$1.service.d/.magellan.conf.magellan-new" "$UNITS/$1.service.d/magellan.conf"
    mv -fT -- "$UNITS/.$1.service.magellan-new" "$UNITS/$1.service"
    [[ ! -L units/$1/.new-previous ]] || mv -fT -- "units/$1/.new-previous" "units/$1/previous"
    mv -fT -- "units/$1/.new-current" "units/$1/current"
}

settled() { # UNIT: runs, and was started with what is there now
    local now program pid
    [[ $(word "$DEPLOY/started/$1") == "${digest_of[$1]} "* ]] || return 1
    now=$(systemctl show -p ActiveState -p SubState -p MainPID "$1.service")
    [[ $now == *ActiveState=active* && $now == *SubState=running* && $now =~ MainPID=([0-9]+) ]] || return 1
    pid=${BASH_REMATCH[1]}
    program=releases/${release_of[$1]}/magellan
    # A script's process is its interpreter.
    [[ $(head -c 2 -- "$program" | tr -d '\0') == '#!' ||
        $(program_of "$pid" "$1") == "$(listed "${program%/*}" magellan)" ]]
}

restart() { # UNIT
    rm -f -- "$DEPLOY/started/$1"
    # A unit that crashed too often isn't started again before its counter is reset.
    systemctl_ reset-failed "$1.service" || :
    systemctl_ restart "$1.service" || not_started "$1"
    note_start "$1"
    tally restarted "$1"
}

not_started() { # UNIT
    fact "unit.$1.journal" "$(journal_of "$1")"
    die restart "$1 didn't start"
}

process_of() { # UNIT: PID, monotonic start, restarts
    local now
    now=$(systemctl show -p ExecMainPID -p ExecMainStartTimestampMonotonic -p NRestarts "$1.service")
    [[ $now =~ ExecMainPID=([0-9]+) ]] && printf '%s ' "${BASH_REMATCH[1]}"
    [[ $now =~ ExecMainStartTimestampMonotonic=([0-9]+) ]] && printf '%s ' "${BASH_REMATCH[1]}"
    [[ $now =~ NRestarts=([0-9]+) ]] && printf '%s' "${BASH_REMATCH[1]}"
}

# Over bytes that are there already: it needs no room.
note_start() { # UNIT
    local pid monotonic
    read -r pid monotonic _ < <(process_of "$1") || :
    { printf '%-200s\n' "${digest_of[$1]} $pid $monotonic $(word /proc/sys/kernel/random/boot_id)" \
        1<>"$DEPLOY/started/.new-$1" && sync "$DEPLOY/started/.new-$1" &&
        mv -fT -- "$DEPLOY/started/.new-$1" "$DEPLOY/started/$1"; } || die disk "can't note the start of $1"
}

process_facts() { # UNIT
    local pid monotonic restarts
    read -r pid monotonic restarts < <(process_of "$1") || :
    fact "unit.$1.pid" "$pid"
    fact "unit.$1.started_monotonic" "$monotonic"
    fact "unit.$1.restarts" "$restarts"
}

retire_unit() { # UNIT: away, and what was there before it comes back
    local file=$UNITS/$1.service kept=$DEPLOY/foreign/$1
    installed | grep -qxF -- "$1" || return 0
    { keep_file "$kept/unit" "$UNITS/.$1.service.magellan-new" && mkdir -p -- "$file.d" &&
        keep_file "$kept/drop-in" "$file.d/.magellan.conf.magellan-new"; } || die disk "can't put back what $1 was"
    systemctl_ disable "$1.service" || : # fails if a killed run had removed the file
    systemctl_ stop "$1.service" || :
    [[ $(systemctl show -p ActiveState "$1.service") =~ ^ActiveState=(inactive|failed)$ ]] || die stop "can't stop $1"
    rm -f -- "$file" "$DEPLOY/started/$1" "$file.d/magellan.conf"
    [[ ! -L units/$1/current ]] || mv -fT -- "units/$1/current" "units/$1/previous"
    put_back "$1"
    tally removed "$1"
}

put_back() { # UNIT
    local file=$UNITS/$1.service kept=$DEPLOY/foreign/$1 active new
    new=$file.d/.magellan.conf.magellan-new
    [[ ! -e $new && ! -L $new ]] || mv -fT -- "$new" "$file.d/magellan.conf"
    new=$UNITS/.$1.service.magellan-new
    [[ ! -e $new && ! -L $new ]] || mv -fT -- "$new" "$file"
    rmdir -- "$file.d" || :
    systemctl_ daemon-reload || :
    systemctl_ reset-failed "$1.service" || :
    active=$(word "$kept/active")
    [[ $(word "$kept/enabled") != enabled ]] || systemctl_ enable "$1.service" || die enable "can't enable $1 as it was"
    if [[ $active =~ =(active|activating|reloading)$ ]]; then
        systemctl_ start "$1.service" || not_started "$1"
    fi
    [[ ! -e $kept/unit && ! -L $kept/unit && ! $active =~ =(active|activating|reloading)$ ]] || tally restored "$1"
    [[ ! -d $kept ]] || { mv -T -- "$kept" "$DEPLOY/foreign/.new-$1" && rm -rf -- "$DEPLOY/foreign/.new-$1"; }
}

put_back_template() { # KEPT: empty if there was none
    [[ -s $1 ]] || { rm -f -- "$UNITS/$TEMPLATE"; return; }
    { cp -a -- "$1" "$UNITS/.$TEMPLATE.magellan-new" &&
        mv -fT -- "$UNITS/.$TEMPLATE.magellan-new" "$UNITS/$TEMPLATE"; } || die disk "can't put back $TEMPLATE"
}

op_deactivate() {
    local unit left kept=$DEPLOY/foreign/$TEMPLATE
    ((${#asked[@]} > 0)) || readarray -t asked < <(installed)
    left=$(comm -23 <(installed) <(printf '%s\n' ${asked[@]+"${asked[@]}"} | sort -u))
    [[ -n $left || ! -e $kept ]] || put_back_template "$kept"
    for unit in ${asked[@]+"${asked[@]}"}; do retire_unit "$unit"; done
    [[ -n $left ]] || rm -f -- "$kept"
    systemctl_ daemon-reload || :
}

# ---- record, prune ----

op_record() {
    [[ -n $line$bad$good ]] || die usage "line, bad or good is needed"
    if [[ -n $bad ]]; then
        expect bad "$DIGEST" "64 hexadecimal digits"
        { : >"$DEPLOY/bad/$bad"; } || die disk "can't mark $bad"
    fi
    if [[ -n $good ]]; then
        expect good "$DIGEST" "64 hexadecimal digits"
        rm -f -- "$DEPLOY/bad/$good"
    fi
    [[ -z $line ]] || append
    sync -f "$DEPLOY"
}

# Each line is a file of its own, `NUMBER-SHA-256 of the line`: it is there once, and whole or not at all.
append() {
    local sum last
    [[ $line == '{'*'}' && $line != *$'\n'* ]] || die usage "line must be one line of JSON"
    sum=$(printf %s "$line" | sha256sum | cut -c1-64)
    if compgen -G "$DEPLOY/records/*-$sum"; then fact recorded already && return; fi
    last=$(records | tail -n1)
    printf -v last %010d $((10#0${last:0:10} + 1))
    put "$DEPLOY/records/$last-$sum" "$line"
    fact recorded new
}

records() { # the names, from the oldest on
    local file
    for file in "$DEPLOY"/records/*; do
        [[ ! ${file##*/} =~ ^[0-9]{10}-[0-9a-f]{64}$ ]] || printf '%s\n' "${file##*/}"
    done
}

op_prune() {
    local kept
    expect keep "$NUMBER" "a number"
    expect keep_days "$NUMBER" "a number of days"
    list running < <(running_releases)
    kept=" $({ kept_releases && running_releases; } | tr '\n' ' ')"
    prune_bound
    prune_releases
    prune_commits
    find "$DEPLOY/log" -name '*.log' -mtime +$((10#$keep_days)) -delete
    prune_history
    prune_failures
    logged mirror mirror.git gc --quiet --prune=now || :
}

# What a unit is bound to or was before, and the latest that history names and that didn't fail.
kept_releases() {
    local release unit n=0 seen=''
    while IFS= read -r unit; do
        for release in "$(bound "$unit")" "$(bound "$unit" previous)"; do
            [[ -z $release ]] || printf '%s\n' "${release%-*}"
        done
    done < <(named units "$UNIT")
    while ((n < 10#$keep)) && IFS= read -r release; do
        [[ -d releases/$release && ! -e $DEPLOY/bad/$release && $seen != *"$release"* ]] || continue
        printf '%s\n' "$release"
        seen+="$release "
        n=$((n + 1))
    done < <(records | tac | sed "s#^#$DEPLOY/records/#" | xargs -r grep -hoE '\b[0-9a-f]{64}\b' -- || :)
}

running_releases() {
    local release
    while IFS= read -r release; do
        if runs_from "releases/$release"; then printf '%s\n' "$release"; fi
    done < <(named releases "$DIGEST")
}

runs_from() { # FOLDER
    local exe program folder
    folder=$(readlink -f -- "$1")
    for exe in /proc/[0-9]*/exe; do
        program=$(readlink -- "$exe") || continue
        if [[ $program == "$folder"/* ]]; then return 0; fi
    done
    return 1
}

# A folder with a right name is complete at any time, so it loses the name first.
discard() { # FOLDER/NAME
    mv -T -- "$1" "${1%/*}/.staging-${1##*/}"
    rm -rf -- "${1%/*}/.staging-${1##*/}"
}

prune_bound() {
    local unit folder
    while IFS= read -r unit; do
        while IFS= read -r folder; do
            [[ $folder != "$(bound "$unit")" && $folder != "$(bound "$unit" previous)" ]] || continue
            [[ $kept != *" ${folder%-*} "* ]] || continue
            discard "units/$unit/$folder"
            tally pruned_bound "$unit/$folder"
        done < <(named "units/$unit" '^[0-9a-f]{64}-[0-9a-f]{64}$')
        rmdir -- "units/$unit" || :
    done < <(named units "$UNIT")
}

prune_releases() {
    local release
    while IFS= read -r release; do
        if [[ $kept == *" $release "* ]]; then continue; fi
        discard "releases/$release"
        tally pruned "$release"
    done < <(named releases "$DIGEST")
}

prune_commits() {
    local tree needed=' '
    while IFS= read -r tree; do needed+="$(commit_of "releases/$tree") "; done < <(named releases "$DIGEST")
    while IFS= read -r tree; do
        [[ $needed != *" $tree "* ]] || continue
        discard "commits/$tree"
        logged mirror mirror.git update-ref -d "refs/magellan/$tree" || :
        tally pruned_commit "$tree"
    done < <(named commits "$COMMIT")
}

# The last ones stay: they say how what runs came here.
prune_history() {
    local name n=0
    while IFS= read -r name; do
        [[ -n $(find "$DEPLOY/records/$name" -mtime +$((10#$keep_days))) ]] || continue
        rm -f -- "$DEPLOY/records/$name"
        n=$((n + 1))
    done < <(records | head -n -50)
    fact pruned_history "$n"
}

prune_failures() {
    local file=$DEPLOY/failures
    [[ -f $file && $(stat -c %s -- "$file") -gt 100000 ]] || return 0
    put "$file" "$(tail -n 500 -- "$file" | tail -c 50000)"
}

# ---- facts ----

op_facts() {
    local unit all=()
    machine_facts
    look_into_root
    root_facts
    readarray -t all < <({ printf '%s\n' ${asked[@]+"${asked[@]}"}; installed; } | sed '/^$/d' | sort -u)
    show_units ${all[@]+"${all[@]}"}
    for unit in ${all[@]+"${all[@]}"}; do unit_facts "$unit"; done
}

machine_facts() {
    fact now "$(date +%s.%N)"
    fact hostname "$(uname -n)"
    fact boot_id "$(word /proc/sys/kernel/random/boot_id)"
    fact generation "$(word "$DEPLOY/generation")"
    fact environment "$(owned_by)"
    fact policy "$(word "$ETC/policy")"
    [[ ! -f $ETC/trusted-keys ]] || list trusted < <(trusted)
    fact mem_total_kib "$(memory_kib)"
    fact disk_free_kib.releases "$(free_kib "$ROOT")"
    fact disk_free_kib.state "$(free_kib "$STATE")"
    fact owner "$(under_way)"
    list bad < <(ls -t -- "$DEPLOY/bad")
    list history < <(records | tail -n 50 | history_lines)
    [[ ! -f $DEPLOY/failures ]] || fact failures "$(tail -n 20 -- "$DEPLOY/failures" | tail -c 4000 | tr -d '\0')"
}

memory_kib() { sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo; }

free_kib() { # FOLDER, which needn't exist yet
    local path=$1
    while [[ ! -d $path/ ]]; do path=${path%/*}; done
    df -k --output=avail -- "$path/" | tail -n1 | tr -d ' '
}

under_way() {
    [[ -f $DEPLOY/lock ]] || return 0
    flock -n -s 8 8<"$DEPLOY/lock" || word "$DEPLOY/owner"
}

history_lines() { # names on stdin
    local name text who outcome
    while IFS= read -r name; do
        text=$(<"$DEPLOY/records/$name") who='' outcome=''
        [[ ! $text =~ \"id\":\"([^\"]*)\" ]] || who=${BASH_REMATCH[1]}
        [[ ! $text =~ \"outcome\":(\{\"outcome\":)?\"([^\"]*)\" ]] || outcome=${BASH_REMATCH[2]}
        printf '%s %s %s\n' "${who:--}" "${outcome:--}" "${name#*-}"
    done
}

# What lies below ROOT. Without a ROOT that is root's alone, nothing.
root_facts() {
    local unit pair release tree known=' '
    fact layout "$(layout)"
    list release < <(named releases "$DIGEST")
    list installed < <(installed)
    list untracked < <(untracked)
    while IFS= read -r unit; do
        pair=$(bound "$unit") release=${pair%-*}
        [[ -n $release && $known != *" $release "* ]] || continue
        known+="$release "
        list "release.$release.altered" < <(release_faults "releases/$release" '')
        fact "release.$release.contents" "$(checksum "releases/$release/checksums")"
        [[ -f releases/$release/manifest.json ]] || continue
        fact "release.$release.manifest" "$(head -c 262144 -- "releases/$release/manifest.json" | tr -d '\0')"
        tree=$(commit_of "releases/$release")
        [[ -n $tree && $known != *" $tree "* ]] || continue
        known+="$tree "
        list "commit.$tree.altered" < <(commit_faults "$tree" "commits/$tree")
    done < <(installed)
}

layout() {
    if grep -qs 'magellan-releases/current/' "$UNITS"/magellan-*.service; then echo old
    elif [[ -d releases ]]; then echo new
    else echo none; fi
}

untracked() {
    local path name ours
    ours=" $(installed | tr '\n' ' ')"
    { find . releases commits units units/* -mindepth 1 -maxdepth 1 -printf '%p %y\n' || :; } | sed -E '
        s#^\./##
        /(^|\/)\.(staging|new|download)-/d
        /^(mirror.git|releases(\/[0-9a-f]{64})?|commits(\/[0-9a-f]{40,64})?) d$/d
        /^units(\/magellan-[^/]+(\/[0-9a-f-]{129})?)? d$/d
        /^units\/[^/]+\/(current|previous) l$/d
        s# .$##; s#^#'"$ROOT/#"
    for path in "$UNITS"/magellan* "$UNITS"/*.wants/magellan* "$UNITS"/magellan*.d/*; do
        [[ -e $path || -L $path ]] || continue
        name=${path#"$UNITS/magellan"} name=magellan${name%%/*}
        [[ $path != *.wants/* ]] || name=${path##*/}
        case $path in
            */$TEMPLATE) [[ $ours == ' ' ]] || continue ;;
            *.service | *.service.d | *.service.d/magellan.conf)
                name=${name%.d}
                [[ $ours != *" ${name%.service} "* ]] || continue ;;
        esac
        printf '%s\n' "$path"
    done
}

# Microseconds, where systemd can print them (from 247 on). Fills `shown` with the properties of each unit.
show_units() { # UNIT …
    local pair text='' unit=''
    (($# > 0)) || return 0
    while IFS= read -r pair; do
        case $pair in
            '') shown[$unit]=$text text='' unit='' ;;
            Id=*) unit=${pair#Id=} unit=${unit%.service} ;;
            *) text+=$pair$'\n' ;;
        esac
    done < <({ systemctl show --timestamp=us+utc -p "$PROPERTIES" "${@/%/.service}" ||
        systemctl show -p "$PROPERTIES" "${@/%/.service}"; } && echo)
}

unit_facts() { # UNIT
    local start='' active='' pid='' invocation='' pair value
    while IFS= read -r pair; do
        value=${pair#*=}
        case $pair in
            '') continue ;;
            InvocationID=*) invocation=$value && continue ;;
            ExecMainStartTimestamp=*)
                start=$(since_1970 "$value")
                value=$start ;;
            ActiveState=*) active=$value ;;
            ExecMainPID=*) pid=$value ;;
        esac
        fact "unit.$1.${pair%%=*}" "${value:0:4000}"
    done <<<"${shown[$1]-}"
    bound_facts "$1"
    fact "unit.$1.exe" "$(program_of "$pid" "$1")"
    own_facts "$1" "$start"
    stderr_facts "$1" "$invocation"
    [[ $active == active && $journal != yes ]] || fact "unit.$1.journal" "$(journal_of "$1")"
}

since_1970() { # SYSTEMD'S TIME
    [[ -z $1 || $1 == n/a || $1 == 0 ]] || date -d "$1" +%s.%N || :
}

bound_facts() { # UNIT
    local pair release started=()
    pair=$(bound "$1") release=${pair%-*}
    IFS=' ' read -ra started < <(word "$DEPLOY/started/$1") || :
    fact "unit.$1.release" "$release"
    fact "unit.$1.binding" "${pair#*-}"
    fact "unit.$1.previous" "$(bound "$1" previous)"
    [[ -z $pair ]] || list "unit.$1.bound_altered" < <(bound_faults "$1" "$pair")
    fact "unit.$1.started" "${started[0]-}"
    fact "unit.$1.started_pid" "${started[1]-}"
    fact "unit.$1.started_monotonic" "${started[2]-}"
    fact "unit.$1.started_boot" "${started[3]-}"
    fact "unit.$1.installed.unit" "$(checksum "$UNITS/$1.service")"
    fact "unit.$1.installed.drop_in" "$(checksum "$UNITS/$1.service.d/magellan.conf")"
    [[ -n $pair ]] && load_units "releases/$release" || unit_file=()
    fact "unit.$1.released.unit" "$(checksum "releases/$release/${unit_file[$1]-}")"
    fact "unit.$1.released.drop_in" "$(checksum "units/$1/$pair/drop-in.conf")"
    if cmp -s -- "releases/$release/$TEMPLATE" "$UNITS/$TEMPLATE"; then fact "unit.$1.template" yes
    else fact "unit.$1.template" no; fi
}

# SHA-256 of what a process runs. The file is opened once; the process must still be the unit's after that.
program_of() { # PID UNIT
    [[ $1 =~ ^[1-9][0-9]*$ ]] || return 0
    {
        [[ $(</"proc/$1/cgroup") != *"/$2.service"* ]] || sha256sum <&8 | cut -c1-64
    } 8<"/proc/$1/exe" || :
}

# Of both scripts that look at what the services' user may write, as that user: without following links or waiting for
# anybody, and only so much of it.
readonly READING='
set -f
logs() { find "$1" -maxdepth 1 -type f -name "*.jsonl" ! -name "*[!A-Za-z0-9_.-]*" "${@:2}"; }
piece() {
    dd if="$1" iflag=nofollow,nonblock,fullblock,skip_bytes,count_bytes bs=65536 skip="$2" count="$3" status=none
}
'

# Prints the heartbeat's time and text, the newest log, the newest since the start, and errors.
readonly LOOK=$READING'
cd -- "$1" || exit 1
start=$2 since=$3 largest=$4
by_time() { logs logs "$@" -printf "%T@ %s %f\n" | sort -n; }
find heartbeat.json -maxdepth 0 -type f -printf "%T@ " || :
piece heartbeat.json 0 4096 | base64 -w0
echo
by_time | tail -n 1 | grep . || echo
[[ -n $start ]] || exit 0
touched=$(by_time -newermt "@$start")
tail -n 1 <<<"$touched"
(($(wc -l <<<"$touched") <= 20)) || exit 0
errors=0
while read -r _ size name; do
    skip=$((size > largest ? size - largest : 0))
    # A line without a time counts: better one error too many. Half a line is at the beginning of a piece only.
    found=$(piece "logs/$name" "$skip" "$largest" | awk -v since="$since" -v cut="$skip" "
        function at() {
            if (!match(\$0, /\"timestamp\"[ \t]*:[ \t]*\"[^\"]*Z\"/)) return since
            text = substr(\$0, RSTART, RLENGTH)
            sub(/^\"timestamp\"[ \t]*:[ \t]*\"/, \"\", text)
            return text
        }
        cut && NR == 1 { next }
        cut && NR == 2 && at() >= since { many = 1; exit }
        match(\$0, /\"level\"[ \t]*:[ \t]*\"[A-Za-z]+\"/) {
            level = toupper(substr(\$0, RSTART, RLENGTH))
            if (level ~ /ERROR|FATAL|CRITICAL|PANIC/ && at() >= since) n++
        }
        END { if (many || (cut && NR < 2)) print \"unknown\"; else print n + 0 }") || exit 0
    [[ $found =~ ^[0-9]+$ ]] || exit 0
    errors=$((errors + found))
done < <(printf %s "${touched:+$touched
}")
echo "$errors"
'

own_facts() { # UNIT START
    local strategy=${1#magellan-} saw=() beat text=''
    saw=()
    readarray -t saw < <(as_user 10 bash -c "$LOOK" look "$STATE/${strategy//-/_}" "$2" \
        "${2:+$(date -d "@${2:-0}" +%Y-%m-%dT%H:%M:%S.%N)}" "$LARGEST_LOG")
    IFS=' ' read -r beat text <<<"${saw[0]-}"
    fact "unit.$1.heartbeat" "$(base64 -d <<<"$text" | tr -d '\0')"
    fact "unit.$1.heartbeat_age" "$(age "$beat")"
    log_facts "unit.$1.newest_log" "${saw[1]-}"
    log_facts "unit.$1.log" "${saw[2]-}"
    fact "unit.$1.errors" "${saw[3]-}"
}

age() { # TIME
    [[ -z $1 ]] || awk -v now="$(date +%s.%N)" -v then="$1" 'BEGIN { printf "%.3f", now - then }'
}

log_facts() { # KEY "TIME SIZE NAME"
    local time='' size='' name=''
    IFS=' ' read -r time size name <<<"$2" || :
    fact "$1" "$name"
    fact "$1_mtime" "$time"
    fact "$1_size" "$size"
}

# Of this start of the unit only. What isn't text is no message of ours, so it counts as an error.
stderr_facts() { # UNIT INVOCATION
    local found=''
    if [[ $2 =~ ^[0-9a-f]{32}$ ]]; then
        found=$(timeout 20 journalctl --no-pager --quiet -n 10001 -o json --output-fields=PRIORITY,MESSAGE \
            "_SYSTEMD_INVOCATION_ID=$2" | awk '
            /"PRIORITY":"[0-3]"|"MESSAGE":\[|FATAL|ERROR|CRITICAL|PANIC|panicked|Traceback|Segmentation/ { n++ }
            END { print NR, n + 0 }') || found=''
    fi
    fact "unit.$1.stderr" "${found% *}"
    fact "unit.$1.stderr_errors" "${found#* }"
}

journal_of() { # UNIT
    timeout 20 journalctl --no-pager --quiet -o short-iso -n 40 -u "$1.service" 2>&1 | tail -c 6000 | tr -d '\0' || :
}

# ---- logs ----

# From a place on, whole lines, through the files in the order of their names. Prints the next place first.
readonly READ_LOG=$READING'
cd -- "$1/logs" || exit 0
after=$2 since=$3 lines=$4 room=$5
size_of() { stat -c %s -- "$1"; }
mapfile -t names < <(logs . -printf "%f\n" | sort)
((${#names[@]} > 0)) || exit 0
name=${names[0]} offset=0
if [[ -n $after ]]; then
    name=${after%:*} offset=${after##*:}
elif [[ -n $since ]]; then
    name=$(logs . -newermt "@$since" -printf "%f\n" | sort | head -n 1)
    [[ -n $name ]] || { name=${names[-1]} offset=$(size_of "${names[-1]}"); }
    at=$(date -d "@$since" +%Y-%m-%dT%H:%M:%S.%N)
    ((offset > 0)) || offset=$(awk -v at="$at" "
        match(\$0, /\"timestamp\"[ \t]*:[ \t]*\"[^\"]*/) {
            text = substr(\$0, RSTART, RLENGTH)
            sub(/.*\"/, \"\", text)
            if (text >= at) { print n + 0; found = 1; exit }
        }
        { n += length(\$0) + 1 }
        END { if (!found) print n + 0 }" "$name")
else
    for ((i = ${#names[@]} - 1; i >= 0 && lines > 0; i--)); do
        name=${names[i]} size=$(size_of "${names[i]}")
        size=${size:-0}
        read -r count bytes < <(piece "$name" $((size > room ? size - room : 0)) "$room" | tail -n "$lines" | wc -lc)
        offset=$((size - bytes)) lines=$((lines - count))
        ((offset == 0)) || break
    done
fi
text=
for ((i = 0; i < ${#names[@]}; i++)); do
    [[ ${names[i]} > $name || ${names[i]} == "$name" ]] || continue
    [[ ${names[i]} == "$name" ]] || { name=${names[i]} offset=0; }
    more=$(piece "$name" "$offset" "$room" | tr -d "\0"; echo .)
    more=${more%.}
    whole=${more%"${more##*$'"'\\n'"'}"}
    text+=$whole offset=$((offset + ${#whole})) room=$((room - ${#whole}))
    # Half a line, or more than there is room for, is for the next time.
    [[ $whole == "$more" ]] && ((room > 0)) || break
done
printf "%s:%s\n%s" "$name" "$offset" "$text"
'

op_logs() {
    local strategy text
    ((${#asked[@]} == 1)) || die usage "one unit is needed"
    [[ -z $after ]] || expect after '^[A-Za-z0-9_.-]+\.jsonl:[0-9]{1,15}$' "FILE:OFFSET"
    [[ -z $since ]] || expect since '^[0-9]{1,12}(\.[0-9]{1,9})?$' "seconds since 1970"
    [[ -z $lines ]] || expect lines '^[0-9]{1,6}$' "a number"
    strategy=${asked[0]#magellan-}
    text=$(as_user 30 bash -c "$READ_LOG" logs "$STATE/${strategy//-/_}" "$after" "$since" "${lines:-100}" \
        "$LOG_ANSWER" && echo .) || die unexpected "the logs can't be read"
    text=${text%.}
    [[ -n ${text//$'\n'/} ]] || text=$after$'\n'
    fact cursor "${text%%$'\n'*}"
    fact log "${text#*$'\n'}"
}

# ---- preflight: all that is wrong, not only the first ----

op_preflight() {
    fact now "$(date +%s.%N)"
    counts[problem]=0
    check_machine
    check_user
    check_folders
    check_remote
    check_room
    check_units
    ((counts[problem] == 0)) || die preflight "${counts[problem]} problems"
}

problem() { tally problem "$1: $2"; } # CODE WHAT

check_machine() {
    local tool running
    ((EUID == 0)) || problem root "this doesn't run as root"
    while read -r tool _; do problem tool "$tool isn't installed"; done < <(missing_tools)
    running=$(systemctl is-system-running) || :
    [[ $running =~ ^(running|degraded|starting)$ ]] || problem systemd "systemd is ${running:-not running}"
    [[ -z $hostname || $hostname == "$(uname -n)" ]] || problem hostname "this is $(uname -n), not $hostname"
    [[ -z $environment || $(owned_by) =~ ^("$environment")?$ ]] ||
        problem environment "this host belongs to $(owned_by), not to $environment"
}

# And the package that has it.
missing_tools() {
    local tool package
    for tool in awk base64 cmp curl find flock git gzip journalctl openssl setpriv setsid sha256sum systemctl \
        systemd-analyze tar timeout zstd; do
        case $tool in
            awk) package=gawk ;;
            base64 | sha256sum | timeout) package=coreutils ;;
            cmp) package=diffutils ;;
            find) package=findutils ;;
            flock | setpriv | setsid) package=util-linux ;;
            *ctl | systemd-*) package=systemd ;;
            *) package=$tool ;;
        esac
        type -P "$tool" >/dev/null || printf '%s %s\n' "$tool" "$package"
    done
}

check_user() {
    local groups may
    groups=$(id -Gn -- "$RUNS_AS") || { problem user "there is no user $RUNS_AS"; return; }
    [[ $(id -u -- "$RUNS_AS") != 0 ]] || problem user "$RUNS_AS is root"
    [[ ! " $groups " =~ \ (sudo|wheel|admin|root|docker)\  ]] ||
        problem user "$RUNS_AS is in the group ${BASH_REMATCH[1]}"
    if type -P sudo; then
        may=$(timeout 20 sudo -n -l -U "$RUNS_AS" 2>&1) || may=''
        [[ $may != *"may run"* ]] || problem user "$RUNS_AS may use sudo"
    fi
}

check_folders() {
    local folder
    for folder in "$ROOT"{,/releases,/commits,/units} "$ETC" "$STATE" "$DEPLOY" "$UNITS"; do
        while [[ ! -e $folder && ! -L $folder ]]; do folder=${folder%/*}; done
        enter "${folder:-/}" || problem root-folder "$wrong"
    done
    cd "${scratch:-/}"
}

check_remote() {
    [[ -n $remote ]] || return 0
    expect_remote
    reachable || problem remote "the remote can't be fetched"
}

check_room() {
    local folder free
    for folder in "$ROOT" "$STATE"; do
        free=$(free_kib "$folder")
        ((free >= 10#$need_kib)) || problem disk "$free KiB are free at $folder, $need_kib are needed"
    done
    free=$(memory_kib)
    ((free >= 10#$need_mem_kib)) || problem memory "the machine has $free KiB, its units may take $need_mem_kib"
}

check_units() {
    local unit
    for unit in ${asked[@]+"${asked[@]}"}; do
        [[ $(systemctl show -p LoadState "$unit.service") != LoadState=masked ]] || problem masked "$unit is masked"
    done
}

# ---- doctor: what a bare machine lacks, as commands, and with fix=yes done ----

op_doctor() {
    counts[todo]=0 counts[problem]=0
    [[ $fix != yes ]] || refuse_other_environment
    want_folders
    if [[ $fix == yes ]]; then begin; fi
    want_packages
    id -u -- "$RUNS_AS" ||
        todo user useradd --system --no-create-home --shell /usr/sbin/nologin "$RUNS_AS"
    want_pins
    check_machine
    ! id -u -- "$RUNS_AS" || check_user
    check_units
    [[ $fix != yes ]] || ((counts[todo] == ${counts["done"]-0})) || die doctor "not everything could be done"
}

todo() { # CODE COMMAND …
    local command
    printf -v command '%q ' "${@:2}"
    tally todo "$1: ${command% }"
    [[ $fix == yes ]] || return 0
    if logged "${@:2}"; then tally "done" "$1"; else problem "$1" "it failed; the log says why"; fi
}

want_packages() {
    local packages=()
    readarray -t packages < <(missing_tools | cut -d' ' -f2 | sort -u)
    ((${#packages[@]} > 0)) || return 0
    if type -P apt-get; then
        todo packages env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${packages[@]}"
    elif type -P dnf; then todo packages dnf install --assumeyes "${packages[@]}"
    elif type -P yum; then todo packages yum install --assumeyes "${packages[@]}"
    else problem packages "no apt-get, dnf or yum for ${packages[*]}"; fi
}

want_folders() {
    local folder mode step
    for folder in "$ROOT"{,/releases,/commits,/units} "$ETC" "$STATE" "$DEPLOY"; do
        mode=0755
        [[ $folder != "$DEPLOY" ]] || mode=0700
        for step in "${folder%/*}" "$folder"; do
            if [[ ! -e $step && ! -L $step ]]; then todo folder install -d -m "$mode" "$step"
            elif [[ -L $step || ! -d $step ]]; then problem root-folder "$step isn't a folder"
            elif [[ $(stat -c %u -- "$step") != 0 ]]; then todo root-folder chown -h root:root "$step"
            elif (((8#$(stat -c %a -- "$step") & 8#22) != 0)); then todo root-folder chmod go-w "$step"; fi
        done
    done
}

want_pins() {
    if [[ -n $trust ]]; then
        expect trust "$BASE64" "base64"
        base64 -d <<<"$trust" >"$scratch/trusted-keys" || die usage "trust must be base64"
        ! sed '/^\(#\|$\)/d' "$scratch/trusted-keys" | grep -qvE '^[a-z,]+ [0-9a-f]{64} [A-Za-z0-9+/]{43}= .' ||
            die usage "trust has a line that is no key"
        cmp -s -- "$scratch/trusted-keys" "$ETC/trusted-keys" ||
            todo trusted-keys put "$ETC/trusted-keys" "$(<"$scratch/trusted-keys")"
    fi
    if [[ -n $policy ]]; then
        expect policy "$DIGEST" "64 hexadecimal digits"
        [[ $(word "$ETC/policy") == "$policy" ]] || todo policy put "$ETC/policy" "$policy"
    fi
}

main "$@" </dev/null
