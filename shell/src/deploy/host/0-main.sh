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
#              unit.U.{installed,released}.{unit,drop_in}   SHA-256; unit.U.templates (yes or no: they are the release's)
#              unit.U.heartbeat unit.U.heartbeat_age     text, and seconds since it was written
#              unit.U.errors                             lines of a level from ERROR on since its start
#              unit.U.log_lines                          lines since its start
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
readonly RUN=/run/magellan UNITS=/etc/systemd/system RUNS_AS=magellan
# What the units of all services share: what is started when one fails, and each night.
readonly TEMPLATES=(magellan-failed@.service magellan-parity@.service magellan-parity@.timer)
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

