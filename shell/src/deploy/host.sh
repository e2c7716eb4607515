#!/usr/bin/env bash
# All that a deploy does on the machine, as root:   bash host.sh OP key=value …
#
# Operations that look:    facts [unit=NAME …] [journal=yes]
#                          preflight [remote=] [hostname=] [need_kib=] [need_mem_kib=] [unit=NAME …]
# Operations that change:  stage digest= commit= [source=], activate digest= [force=yes], deactivate,
#                          record [line=] [bad=] [good=], prune keep=
# Those that change need generation=N as well, which never decreases, and wait [wait=60] seconds for the lock.
# All take user=, checkout=, releases=, state=. Values may hold anything: they are quoted, never evaluated.
#
# Output, once, at the end: `magellan-host 1 ok OP` or `magellan-host 1 failed OP CODE: message`, then facts, a line
# each, `key=value`, `key:b64=…` if the value isn't plain ASCII, or `key:gz64=…` if it is long. At most LIMIT characters: what could grow without
# end (`log`, `failures`, journals) keeps its last lines; whole facts that don't fit are named in `omitted`,
# units as `unit.U`.
# An empty value means: there is none. Times are seconds since 1970 with a fraction, UTC.
#
#   always     current (release; empty if the link leads to none), previous (release before it);
#              of operations that change: log_file and, if they failed, log
#   facts      now hostname boot_id generation checkout_commit mem_total_kib disk_free_kib.{releases,state}
#              release* bad* installed* checkout_dirty* altered*    (* once for each; each has a NAME_count, too)
#              current_broken (what the link says, if it leads to no release), units_unreadable (yes, if so)
#              history (of the rollout that brought current), manifest (of current), failures (tail)
#              unit.U.{LoadState,ActiveState,SubState,Result,NRestarts,ExecMainPID,ExecMainStartTimestamp,
#                ExecMainStartTimestampMonotonic,UnitFileState,FragmentPath,DropInPaths}   as systemd has them
#              unit.U.{digest,started}                 unit digest in current; the one it was last started with
#              unit.U.{installed,current}.{unit,drop_in}       SHA-256 of the file
#              unit.U.heartbeat unit.U.errors          errors: lines of level ERROR since its start
#              unit.U.log{,_mtime,_size}               newest log file touched since its start
#              unit.U.newest_log{,_mtime,_size}        newest of all
#              unit.U.journal                          if it isn't active, or asked for
#   preflight  now problem*                            problem: `CODE: what`
#   stage      staged (new, repaired or kept), version, fetched (no if only an earlier fetch had the commit)
#   activate   restarted* kept* removed*, unit.U.journal of the unit that didn't start
#   deactivate removed*
#   record     recorded (new or already)
#   prune      pruned* running*
#
# Codes, exit 1 unless said:
#   usage  disk (a write failed)  interrupted  unexpected  unsafe (a folder that isn't root's)
#   busy (exit 75: another run holds the lock)  stale (exit 76: a later generation was here)
#   preflight; its problems: root tool user systemd hostname checkout remote edited disk memory masked
#   stage: checkout edited commit download digest tampered binary validate units damaged
#   activate: incomplete bad units masked current enable restart; activate and deactivate: stop
set -Eeuo pipefail

# Plain variables for the arguments: `parse` fills only those of this list.
user=ssm-user checkout=/home/ssm-user/magellan releases=/home/ssm-user/magellan-releases state=/var/lib/magellan
remote='' hostname='' need_kib=0 need_mem_kib=0 digest='' commit='' source='' force='' generation='' wait=60
line='' bad='' good='' keep='' journal=''
asked=()

readonly LIMIT=20000 UNITS=/etc/systemd/system TEMPLATE=magellan-failed@.service
readonly DIGEST='^[0-9a-f]{64}$' UNIT='^[a-z0-9-]+$' NUMBER='^[0-9]{1,15}$'
# Names in a bundle: no component is empty, hidden, `.` or `..`, or looks like an option.
readonly NAME='[A-Za-z0-9_][A-Za-z0-9_@.-]*'
readonly NAMES="^$NAME(/$NAME)*\$"

op=${1-} code='' message='' spot='' locked='' log='' moved_from='' staging='' package=''
facts=() tails=() tail_keys=() units=()
declare -A unit_digest=() unit_file=() drop_in=()

main() {
    exec 3>&1 >/dev/null 2>&1
    trap 'finish $?' EXIT
    trap 'spot="line $LINENO: $BASH_COMMAND"' ERR
    trap 'die interrupted "stopped by a signal"' HUP INT TERM
    settle_environment
    parse "${@:2}"
    case $op in
        facts) op_facts ;;
        preflight) op_preflight ;;
        # Not `begin && …`: what stands before an && isn't ended by its first failure.
        stage | activate | deactivate | record | prune)
            begin
            "op_$op" ;;
        *) die usage "no such operation" ;;
    esac
}

# The agent that runs this gives neither HOME nor a language; a person's shell gives too much.
settle_environment() {
    export HOME=/root LC_ALL=C TZ=UTC PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_TERMINAL_PROMPT=0
    export SYSTEMD_PAGER='' SYSTEMD_COLORS=0
    unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GREP_OPTIONS TAR_OPTIONS
    umask 022
    cd /
}

parse() {
    local pair key
    for pair in "$@"; do
        key=${pair%%=*}
        [[ $pair == *=* ]] || die usage "an argument isn't key=value"
        case $key in
            unit)
                [[ ${pair#*=} =~ $UNIT ]] || die usage "unit must be a name"
                asked+=("${pair#*=}") ;;
            user | checkout | releases | state | remote | hostname | need_kib | need_mem_kib | digest | commit | \
                source | force | generation | wait | line | bad | good | keep | journal)
                printf -v "$key" %s "${pair#*=}" ;;
            *) die usage "unknown argument $key" ;;
        esac
    done
    for key in checkout releases state; do expect "$key" '^(/[^/]+)+$' "an absolute path"; done
    for key in need_kib need_mem_kib wait; do expect "$key" "$NUMBER" "a number"; done
    deploy_state=$state-deploy
    export GIT_CONFIG_VALUE_0=$checkout
}

expect() { # VARIABLE PATTERN WHAT
    [[ ${!1} =~ $2 && /${!1}/ != */../* ]] || die usage "$1 must be $3"
}

# ---- What is said ----

die() { # CODE MESSAGE
    code=$1 message=$2
    case $code in busy) exit 75 ;; stale) exit 76 ;; *) exit 1 ;; esac
}

fact() { # KEY VALUE
    if [[ $2 == *[!\ -~]* ]]; then encoded "$1" "$2"; else facts+=("$1=$2"); fi
}

# Without a time: a release's files are of 1970, which gzip warns of with an exit code.
packed() { # KEY, long text on stdin
    facts+=("$1:gz64=$(gzip -9nc | base64 -w0)")
}

encoded() { # KEY VALUE
    facts+=("$1:b64=$(printf %s "$2" | base64 -w0)")
}

list() { # KEY, lines on stdin: the first twenty, and how many there are
    local value n=0
    while IFS= read -r value; do
        ((++n > 20)) || fact "$1" "$value"
    done
    fact "$1_count" "$n"
}

ending() { # KEY TEXT: of which only the end may fit
    tail_keys+=("$1") tails+=("$2")
}

# On EXIT: undoes what a failure left half done, and says how it went.
finish() { # STATUS
    set +e
    trap - ERR
    trap '' HUP INT TERM
    local status=$1
    if ((status != 0)) && [[ -z $code ]]; then code=unexpected message=$spot status=1; fi
    if [[ -n $locked ]]; then
        [[ -z $code || -z $moved_from ]] || logged git_here checkout --quiet --detach "$moved_from"
        sweep
        fact log_file "$log"
        [[ -z $code ]] || ending log "$(tail -c 4000 -- "$log")"
    fi
    report >&3
    exit "$status"
}

report() {
    local text says line omitted='' i room
    if [[ -z $code ]]; then says="ok $op"; else
        [[ $op =~ ^[a-z]{1,20}$ ]] || op=unknown
        says="failed $op $code: ${message//[!\ -~]/ }"
    fi
    text="magellan-host 1 ${says:0:600}"
    for line in "current=$(current)" "previous=$(word "${deploy_state-}/previous")" ${facts[@]+"${facts[@]}"}; do
        if ((${#text} + ${#line} < LIMIT - 400)); then text+=$'\n'$line && continue; fi
        line=${line%%[:=]*}
        # One word for each unit.
        if [[ $line == unit.* ]]; then line=${line#unit.} line=unit.${line%%.*}; fi
        [[ "$omitted " == *" $line "* ]] || omitted+=" $line"
    done
    [[ -z $omitted ]] || text+=$'\n'"omitted=${omitted:1:300}"
    # Each ending gets an equal share of the room that those before it left.
    for ((i = 0; i < ${#tails[@]}; i++)); do
        room=$(((LIMIT - ${#text}) * 3 / 4 / (${#tails[@]} - i) - ${#tail_keys[i]} - 10))
        line=${tails[i]}
        ((room > 0)) || continue
        ((${#line} <= room)) || line=${line: -room}
        text+=$'\n'"${tail_keys[i]}:b64=$(printf %s "$line" | base64 -w0)"
    done
    printf '%s\n' "$text"
}

# Runs a command whose output goes to the log, but not without end; not even a full disk stops it. It doesn't get the
# real output, which whoever waits for this script would otherwise wait for if only this script is killed.
logged() { # COMMAND …
    "$@" 2>&1 3>&- | { head -c 65536 || :; cat >/dev/null; }
}

# ---- What is where ----

as_user() { # SECONDS COMMAND …: files of the user are touched by nobody else, lest a link in them leads elsewhere
    local home
    home=$(getent passwd -- "$user" | cut -d: -f6) || return 1
    runuser -u "$user" -- env HOME="$home" timeout --kill-after=5 "$1" "${@:2}"
}

git_here() { # ARGUMENTS …
    as_user 300 git --no-optional-locks -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 \
        -c maintenance.auto=false -c advice.detachedHead=false -C "$checkout" "$@"
}

edited() { git_here status --porcelain --untracked-files=no --ignore-submodules; }

word() { # FILE: its first line, if it has one
    local text=''
    [[ ! -f $1 ]] || IFS= read -r text <"$1" || :
    printf %s "$text"
}

current() {
    local link
    link=$(readlink -- "$releases/current") || return 0
    if [[ $link =~ $DIGEST && -f $releases/$link/manifest.json ]]; then printf %s "$link"; fi
}

releases_here() {
    local folder
    for folder in "$releases"/*/; do
        folder=${folder%/}
        if [[ ${folder##*/} =~ $DIGEST && -f $folder/manifest.json ]]; then printf '%s\n' "${folder##*/}"; fi
    done
}

# Units that a deploy installed: their drop-in is put there first and removed last.
installed() {
    local file unit
    for file in "$UNITS"/*.service.d/magellan.conf; do
        unit=${file%.service.d/*}
        unit=${unit##*/}
        if [[ -f $file && $unit =~ $UNIT ]]; then printf '%s\n' "$unit"; fi
    done
}

checksum() { # FILE: empty if there is none
    [[ ! -f $1 ]] || sha256sum <"$1" | cut -c1-64
}

# What is missing, changed or too much in a release, a line each. Nothing: it is as it was built.
alterations() ( # FOLDER
    cd -- "$1" || { echo "no release"; return; }
    if [[ ! -f checksums || -L checksums || ! -f manifest.json || ! -f units ]]; then
        echo "checksums, manifest.json or units is missing"
        return
    fi
    find . ! -type f ! -type d -printf '%P: not a file\n'
    sha256sum --check --strict --quiet checksums 2>/dev/null || echo "checksums don't hold"
    comm -3 <(find . -type f -printf '%P\n' | sort) <({ cut -c67- checksums; echo checksums; } | sort) |
        sed 's/^\t*//; s/$/: missing or not listed/'
)

intact() { [[ -z $(alterations "$1") ]]; } # FOLDER

# Fills `units` and their tables from a release; refuses what isn't plain, since names become paths.
load_units() { # FOLDER
    local sum name file conf rest
    units=() unit_digest=() unit_file=() drop_in=()
    [[ -f $1/units ]] || return 1
    while IFS=' ' read -r sum name file conf rest || [[ -n $sum ]]; do
        [[ $sum =~ $DIGEST && $name =~ $UNIT && $file =~ $NAMES && $conf =~ $NAMES && -z $rest ]] || return 1
        [[ -f $1/$file && -f $1/$conf && -z ${unit_digest[$name]-} ]] || return 1
        units+=("$name") unit_digest[$name]=$sum unit_file[$name]=$1/$file drop_in[$name]=$1/$conf
    done <"$1/units"
    ((${#units[@]} > 0))
}

# ---- Only one at a time, and never an earlier one ----

begin() {
    local recorded
    expect generation "$NUMBER" "a number"
    own_folder "$deploy_state"
    own_folder "$releases"
    mkdir -p -- "$deploy_state"/{log,started,bad} || die disk "can't make folders in $deploy_state"
    { exec 9>>"$deploy_state/lock"; } || die disk "can't open the lock"
    flock -w "$wait" 9 || die busy "another run holds the host: $(word "$deploy_state/owner")"
    recorded=$(word "$deploy_state/generation")
    ((10#$generation >= 10#${recorded:-0})) || die stale "generation $generation, but $recorded was here"
    locked=yes
    open_log
    sweep
    put "$deploy_state/generation" "$generation"
    put "$deploy_state/owner" "$op, generation $generation, process $$"
}

own_folder() { # FOLDER: what root writes into mustn't be moved or linked elsewhere by others
    [[ -d $1 || -L $1 ]] || install -d -m 0755 -- "$1" || die disk "can't make $1"
    [[ ! -L $1 && $(stat -c %u -- "$1") == 0 ]] || die unsafe "$1 isn't a folder of root's"
}

open_log() {
    local old
    printf -v log '%s/log/%(%s)T-%s-%s.log' "$deploy_state" -1 "$op" "$$"
    { : >"$log"; } || log=/dev/null
    exec >>"$log" 2>&1
    old=("$deploy_state"/log/*.log)
    ((${#old[@]} <= 20)) || rm -f -- "${old[@]:0:${#old[@]}-20}"
}

# Removes what this run or a killed one left unfinished. Only under the lock.
sweep() {
    rm -rf -- "$releases"/.staging-* "$releases"/.download-* "$releases"/.current-new
    rm -f -- "$deploy_state"/*.new "$deploy_state"/started/*.new "$UNITS"/.*.magellan-new "$UNITS"/*.d/.*.magellan-new
}

put() { # FILE TEXT: replaced whole, or not at all
    { printf '%s\n' "$2" >"$1.new" && sync "$1.new" && mv -fT -- "$1.new" "$1"; } || die disk "can't write $1"
}

# ---- stage: the judged commit in the checkout, the bundle beside the others ----

op_stage() {
    expect digest "$DIGEST" "64 hexadecimal digits"
    expect commit '^[0-9a-f]{40}([0-9a-f]{24})?$' "a commit's whole id"
    local release=$releases/$digest
    staging=$releases/.staging-$digest package=$releases/.download-$digest.$$
    check_out
    if intact "$release"; then
        fact staged kept
    else
        download
        unpack
        try_binary
        verify_units
        publish "$release"
    fi
}

check_out() {
    local edits before
    remove_stale_git_locks
    edits=$(edited) || die checkout "$checkout isn't a git checkout of $user's"
    [[ -z $edits ]] || die edited "files are edited in the checkout: ${edits:0:200}"
    before=$(git_here rev-parse --verify --quiet HEAD) || before=''
    logged git_here fetch --force --prune --no-tags origin '+refs/heads/*:refs/remotes/origin/*' || fact fetched no
    # A branch may have moved on and left the commit behind.
    has_commit || logged git_here fetch origin "$commit" || :
    has_commit || die commit "origin has no commit $commit"
    moved_from=$before
    logged git_here checkout --quiet --detach "$commit" || die checkout "can't check out $commit"
    [[ $(git_here rev-parse HEAD) == "$commit" ]] || die checkout "HEAD isn't $commit"
}

has_commit() { git_here cat-file -e "$commit^{commit}"; }

# A git killed with a former run leaves locks that nobody removes.
remove_stale_git_locks() {
    grep -qsx git /proc/[0-9]*/comm || as_user 20 find "$checkout/.git" -name '*.lock' -delete || :
}

download() {
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
    # The lock isn't for curl: if only this script is killed, the next mustn't wait for a download nobody wants.
    printf 'url = "%s"\n' "$source" | logged curl -q --config - --fail --silent --show-error --location --max-redirs 3 \
        --proto =http,https --proto-redir =https --globoff ${proxy[@]+"${proxy[@]}"} --connect-timeout 10 \
        --max-time 300 --retry 4 --retry-delay 2 --retry-max-time 300 --output "$package" 9>&- || failed=$?
    ((failed != 23)) || die disk "can't write the bundle"
    ((failed == 0)) || die download "curl ended with exit code $failed"
}

archive() { # ARGUMENTS OF TAR …
    zstd -dcq -- "$package" | tar --quoting-style=escape "$@"
}

# Only plain files and folders under plain names, exactly those of its checksums, are ever written.
unpack() {
    local kinds strange found wanted altered
    kinds=$(archive --list --verbose | cut -c1 | sort -u | tr -d '\n') || die tampered "it isn't a readable tar.zst"
    [[ $kinds == - || $kinds == -d ]] || die tampered "it holds other than files and folders"
    strange=$(archive --list | sed -E "s#/\$##; \\#$NAMES#d") || die tampered "it can't be listed"
    [[ -z $strange ]] || die tampered "it holds the path ${strange:0:200}"
    found=$(archive --list | sed '/\/$/d' | sort)
    wanted=$({ archive --extract --to-stdout checksums | cut -c67-; echo checksums; } | sort) ||
        die tampered "it holds no checksums"
    [[ $found == "$wanted" ]] || die tampered "its files aren't those of its checksums"
    { mkdir -- "$staging" && archive --extract --no-same-owner --no-same-permissions --directory "$staging"; } ||
        die disk "can't unpack it"
    altered=$(alterations "$staging")
    [[ -z $altered ]] || die tampered "${altered:0:200}"
    find "$staging" -type d -exec chmod 0555 {} + -o -type f -exec chmod 0444 {} +
    chmod 0555 -- "$staging/magellan" || die tampered "it holds no binary"
}

# On this machine, as the services' user: a wrong glibc shows here, not when the services stop.
try_binary() {
    local version
    version=$(as_user 60 "$staging/magellan" --version 2>&1 3>&- 9>&- | { head -c 300; cat >/dev/null; }) ||
        die binary "it doesn't run here: $version"
    fact version "$version"
    (cd -- "$checkout" && logged as_user 300 "$staging/magellan" validate --deployed "$staging/deployed" \
        --archive "$checkout/data/sample" 9>&-) || die validate "its validate fails here"
}

# With paths of the folder it is in now: `current` still leads to the former release, or nowhere.
verify_units() {
    local folder=$staging.units unit text found ignored failed=0
    load_units "$staging" || die units "its list of units isn't plain"
    [[ -f $staging/$TEMPLATE ]] || die units "it lacks $TEMPLATE"
    { mkdir -- "$folder" && cp -- "$staging/$TEMPLATE" "$folder"; } || die disk "can't copy units"
    for unit in "${units[@]}"; do
        text=$(<"${unit_file[$unit]}")
        # Quoted, since an & in the replacement would mean the match.
        text=${text//"$releases/current/"/"$staging/"}
        { printf '%s\n' "$text" >"$folder/$unit.service" && mkdir -- "$folder/$unit.service.d" &&
            cp -- "${drop_in[$unit]}" "$folder/$unit.service.d/magellan.conf"; } || die disk "can't copy units"
    done
    found=$(timeout 60 systemd-analyze verify --man=no "$folder"/*.service 2>&1) || failed=$?
    printf '%s\n' "${found:0:20000}"
    # A key that systemd ignores protects nobody, but isn't a failure to it.
    ignored=$(printf '%s\n' "$found" | grep -F -- "$folder/" | grep -i ignor) || ignored=''
    [[ -z $ignored ]] || die units "systemd ignores a line: ${ignored//"$folder/"/}"
    ((failed == 0)) || die units "systemd refuses a unit: ${found//"$folder/"/}"
}

publish() { # RELEASE
    local path
    sync -f "$staging" || die disk "can't write the release"
    if [[ ! -e $1 ]]; then
        mv -T -- "$staging" "$1" || die disk "can't rename the release"
        fact staged new
    else
        # It may be what `current` leads to, so it is never away: each file is renamed over its altered self.
        (cd -- "$staging" && find . -type d -print0) | (cd -- "$1" && xargs -0 mkdir -p --)
        while IFS= read -r path; do mv -fT -- "$staging/$path" "$1/$path"; done \
            < <({ cut -c67- "$staging/checksums"; echo checksums; })
        intact "$1" || die damaged "the release that is there has files too many"
        fact staged repaired
    fi
    sync -f "$releases"
}

# ---- activate: from one complete release to another by one rename ----

op_activate() {
    expect digest "$DIGEST" "64 hexadecimal digits"
    local release=$releases/$digest former unit
    former=$(current)
    [[ ! -e $deploy_state/bad/$digest || $force == yes ]] || die bad "$digest failed before"
    intact "$release" || die incomplete "there is no complete release $digest"
    load_units "$release" || die units "its list of units isn't plain"
    [[ -L $releases/current || ! -e $releases/current ]] || die current "$releases/current isn't a link"
    refuse_masked
    write_beside "$release"
    [[ $former == "$digest" ]] || put "$deploy_state/previous" "$former"
    forget_changed
    switch
    systemctl_ daemon-reload || die enable "daemon-reload failed"
    systemctl_ enable "${units[@]/%/.service}" || die enable "can't enable the units"
    retire_others
    for unit in "${units[@]}"; do
        if settled "$unit"; then fact kept "$unit"; else restart "$unit"; fi
    done
}

# Without the lock: if only this script is killed, systemd goes on and the next run mustn't wait for it.
systemctl_() { logged timeout 240 systemctl "$@" 9>&-; } # ARGUMENTS …

refuse_masked() {
    local unit
    for unit in "${units[@]}"; do
        [[ $(systemctl show -p LoadState "$unit.service") != LoadState=masked ]] || die masked "$unit is masked"
    done
}

# Everything that needs room, before anything changes: what is left are renames.
write_beside() { # RELEASE
    local unit
    for unit in "${units[@]}"; do
        { mkdir -p -- "$UNITS/$unit.service.d" &&
            install -m 0644 -- "${drop_in[$unit]}" "$UNITS/$unit.service.d/.magellan.conf.magellan-new" &&
            install -m 0644 -- "${unit_file[$unit]}" "$UNITS/.$unit.service.magellan-new"; } ||
            die disk "can't write $unit"
    done
    { install -m 0644 -- "$1/$TEMPLATE" "$UNITS/.$TEMPLATE.magellan-new" &&
        ln -sT -- "$digest" "$releases/.current-new" &&
        sync -f "$UNITS"; } || die disk "can't write units"
}

# Before the switch: a unit that crashes after it comes back as the new release, so what it was started with last is
# unknown until it is restarted, or the way back would keep it.
forget_changed() {
    local unit
    for unit in "${units[@]}"; do
        [[ $(word "$deploy_state/started/$unit") == "${unit_digest[$unit]}" ]] || rm -f -- "$deploy_state/started/$unit"
    done
}

switch() {
    local unit
    for unit in "${units[@]}"; do
        keep_foreign "$unit"
        mv -fT -- "$UNITS/$unit.service.d/.magellan.conf.magellan-new" "$UNITS/$unit.service.d/magellan.conf"
        mv -fT -- "$UNITS/.$unit.service.magellan-new" "$UNITS/$unit.service"
    done
    mv -fT -- "$UNITS/.$TEMPLATE.magellan-new" "$UNITS/$TEMPLATE"
    mv -fT -- "$releases/.current-new" "$releases/current"
    sync -f "$UNITS" && sync -f "$releases"
}

# A unit that somebody made by hand is somebody's: it comes back if ours is retired.
keep_foreign() { # UNIT
    [[ -f $UNITS/$1.service && ! -e $UNITS/$1.service.d/magellan.conf ]] || return 0
    mkdir -p -- "$deploy_state/foreign"
    cp -f -- "$UNITS/$1.service" "$deploy_state/foreign/$1.service"
}

settled() { # UNIT: runs, and was started with what is there now
    local now
    now=$(systemctl show -p ActiveState -p SubState "$1.service")
    [[ $now == *ActiveState=active* && $now == *SubState=running* ]] &&
        [[ $(word "$deploy_state/started/$1") == "${unit_digest[$1]}" ]]
}

restart() { # UNIT
    rm -f -- "$deploy_state/started/$1"
    # A unit that crashed too often isn't started again before its counter is reset.
    systemctl_ reset-failed "$1.service" || :
    systemctl_ restart "$1.service" || { ending "unit.$1.journal" "$(journal_of "$1")"; die restart "$1 didn't start"; }
    put "$deploy_state/started/$1" "${unit_digest[$1]}"
    fact restarted "$1"
}

retire_others() {
    local unit
    while IFS= read -r unit; do
        [[ -n ${unit_digest[$unit]-} ]] || retire "$unit"
    done < <(installed)
    systemctl_ daemon-reload || :
}

retire() { # UNIT
    local file=$UNITS/$1.service
    systemctl_ disable "$1.service" || : # fails if a killed run had removed the file
    systemctl_ stop "$1.service" || :
    [[ $(systemctl show -p ActiveState "$1.service") =~ ^ActiveState=(inactive|failed)$ ]] || die stop "can't stop $1"
    rm -f -- "$file" "$deploy_state/started/$1"
    rm -f -- "$file.d/magellan.conf"
    rmdir -- "$file.d" || :
    if [[ -f $deploy_state/foreign/$1.service ]]; then
        mv -fT -- "$deploy_state/foreign/$1.service" "$file"
        fact restored "$1"
    fi
    systemctl_ reset-failed "$1.service" || :
    fact removed "$1"
}

op_deactivate() {
    local former
    former=$(current)
    retire_others
    rm -f -- "$UNITS/$TEMPLATE"
    [[ -z $former ]] || put "$deploy_state/previous" "$former"
    rm -f -- "$releases/current"
    systemctl_ daemon-reload || :
}

# ---- record, prune ----

op_record() {
    local history=$deploy_state/history
    [[ -n $line$bad$good ]] || die usage "line, bad or good is needed"
    if [[ -n $bad ]]; then
        expect bad "$DIGEST" "64 hexadecimal digits"
        { : >"$deploy_state/bad/$bad"; } || die disk "can't mark $bad"
    fi
    if [[ -n $good ]]; then
        expect good "$DIGEST" "64 hexadecimal digits"
        rm -f -- "$deploy_state/bad/$good"
    fi
    [[ -z $line ]] || append "$history"
    sync -f "$deploy_state"
}

append() { # FILE: the line, once; whole, or not at all
    local size=0
    [[ $line == '{'*'}' && $line != *$'\n'* ]] || die usage "line must be one line of JSON"
    if [[ -f $1 ]]; then
        # Half a line of a killed run stays, but not in the way of this one.
        [[ -z $(tail -c1 -- "$1") ]] || echo >>"$1" || die disk "can't write $1"
        if grep -qxF -- "$line" "$1"; then fact recorded already && return; fi
        size=$(stat -c %s -- "$1")
    fi
    { printf '%s\n' "$line" >>"$1"; } || { truncate -s "$size" -- "$1" || :; die disk "can't write $1"; }
    fact recorded new
}

op_prune() {
    expect keep "$NUMBER" "a number"
    local release kept
    kept=$(kept_releases)
    while IFS= read -r release; do
        if [[ $kept == *"$release"* ]]; then continue; fi
        if runs_from "$releases/$release"; then fact running "$release" && continue; fi
        # A folder with a release's name is complete at any time, so it loses the name first.
        mv -T -- "$releases/$release" "$releases/.staging-$release"
        fact pruned "$release"
    done < <(releases_here)
}

# The current one, and the latest that history names and that didn't fail; a bad one is no way back.
kept_releases() {
    local release n=0 seen=''
    current
    echo
    [[ -f $deploy_state/history ]] || return 0
    while ((n < 10#$keep)) && IFS= read -r release; do
        [[ -d $releases/$release && ! -e $deploy_state/bad/$release && $seen != *"$release"* ]] || continue
        printf '%s\n' "$release"
        seen+="$release "
        n=$((n + 1))
    done < <(tac -- "$deploy_state/history" | grep -oE '\b[0-9a-f]{64}\b')
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

# ---- facts ----

op_facts() {
    local here unit known=' '
    here=$(current)
    # What nothing may be decided without, first.
    [[ -z $here ]] || packed manifest <"$releases/$here/manifest.json"
    machine_facts
    release_facts "$here"
    [[ -z $here ]] || load_units "$releases/$here" || fact units_unreadable yes
    for unit in ${asked[@]+"${asked[@]}"} ${units[@]+"${units[@]}"}; do
        [[ $known != *" $unit "* ]] || continue
        known+="$unit "
        unit_facts "$unit"
    done
    [[ ! -f $deploy_state/failures ]] || ending failures "$(tail -n 20 -- "$deploy_state/failures" | tail -c 4000)"
}

machine_facts() {
    local commit
    fact now "$(date +%s.%N)"
    fact hostname "$(uname -n)"
    fact boot_id "$(word /proc/sys/kernel/random/boot_id)"
    fact generation "$(word "$deploy_state/generation")"
    fact mem_total_kib "$(memory_kib)"
    fact disk_free_kib.releases "$(free_kib "$releases")"
    fact disk_free_kib.state "$(free_kib "$state")"
    commit=$(git_here rev-parse --verify --quiet HEAD) || commit=''
    fact checkout_commit "$commit"
    list checkout_dirty < <(edited)
}

memory_kib() { sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo; }

free_kib() { # FOLDER, which needn't exist yet
    local path=$1
    while [[ ! -d $path/ ]]; do path=${path%/*}; done
    df -k --output=avail -- "$path/" | tail -n1 | tr -d ' '
}

release_facts() { # CURRENT
    local link
    link=$(readlink -- "$releases/current") || link=''
    [[ $link == "$1" ]] || fact current_broken "$link"
    list release < <(releases_here)
    list bad < <(ls -t -- "$deploy_state/bad")
    list installed < <(installed)
    [[ -n $1 ]] || return 0
    list altered < <(alterations "$releases/$1")
    # What brought it: a line that merely names it, as what ran before another, isn't that.
    [[ ! -f $deploy_state/history ]] || packed history < <(grep -F -- "\"release\":\"$1\"" "$deploy_state/history" |
        grep -F '"outcome":{"outcome":"running"}' | tail -n1)
}

unit_facts() { # UNIT
    local show start='' active='' pair value strategy=${1#magellan-} folder
    folder=$state/${strategy//-/_}
    show=$(show_unit "$1") || show=''
    while IFS= read -r pair; do
        value=${pair#*=}
        case $pair in
            ExecMainStartTimestamp=*)
                start=$(since_1970 "$value")
                value=$start ;;
            ActiveState=*) active=$value ;;
        esac
        [[ -z $pair ]] || fact "unit.$1.${pair%%=*}" "$value"
    done < <(printf '%s\n' "$show")
    file_facts "$1"
    encoded "unit.$1.heartbeat" "$(as_user 5 head -c 2000 -- "$folder/heartbeat.json" | tr -d '\0')"
    log_facts "$1" "$folder/logs" "$start"
    [[ $active == active && $journal != yes ]] || ending "unit.$1.journal" "$(journal_of "$1")"
}

# Microseconds, where systemd can print them (from 247 on).
show_unit() { # UNIT
    local names=LoadState,ActiveState,SubState,Result,NRestarts,ExecMainPID,ExecMainStartTimestamp
    names+=,ExecMainStartTimestampMonotonic,UnitFileState,FragmentPath,DropInPaths
    systemctl show --timestamp=us+utc -p "$names" "$1.service" || systemctl show -p "$names" "$1.service"
}

since_1970() { # SYSTEMD'S TIME
    [[ -z $1 || $1 == n/a || $1 == 0 ]] || date -d "$1" +%s.%N || :
}

file_facts() { # UNIT
    fact "unit.$1.digest" "${unit_digest[$1]-}"
    fact "unit.$1.started" "$(word "$deploy_state/started/$1")"
    fact "unit.$1.installed.unit" "$(checksum "$UNITS/$1.service")"
    fact "unit.$1.installed.drop_in" "$(checksum "$UNITS/$1.service.d/magellan.conf")"
    fact "unit.$1.current.unit" "$(checksum "${unit_file[$1]-}")"
    fact "unit.$1.current.drop_in" "$(checksum "${drop_in[$1]-}")"
}

log_facts() { # UNIT FOLDER START
    newest "unit.$1.newest_log" "$2"
    if [[ -z $3 ]]; then return; fi
    newest "unit.$1.log" "$2" -newermt "@$3"
    fact "unit.$1.errors" "$(errors_since "$2" "$3")"
}

logs_in() { # FOLDER TESTS AND ACTIONS OF FIND …
    as_user 20 find "$1" -maxdepth 1 -type f -name '*.jsonl' ! -name '*[!A-Za-z0-9_.-]*' "${@:2}"
}

newest() { # KEY FOLDER TESTS OF FIND …
    local time='' size='' name=''
    IFS=' ' read -r time size name < <(logs_in "${@:2}" -printf '%T@ %s %f\n' | sort -n | tail -n1) || :
    fact "$1" "$name"
    fact "$1_mtime" "$time"
    fact "$1_size" "$size"
}

# A line without a time counts: better one error too many.
errors_since() { # FOLDER START
    local since found
    since=$(date -d "@$2" +%Y-%m-%dT%H:%M:%S.%N)
    # shellcheck disable=SC2016 # awk's variables
    found=$(logs_in "$1" -newermt "@$2" -exec awk -v since="$since" '
        /"level": ?"ERROR"/ {
            at = since
            if (match($0, /"timestamp": ?"[^"]+"/)) at = substr($0, RSTART, RLENGTH)
            sub(/^"timestamp": ?"/, "", at)
            if (at >= since) n++
        }
        END { print n + 0 }' {} +) || { [[ ! -d $1 ]] || return 0; }
    printf %s "${found:-0}"
}

journal_of() { # UNIT
    timeout 20 journalctl --no-pager --quiet -o short-iso -n 40 -u "$1.service" 2>&1 | tail -c 6000 || :
}

# ---- preflight: all that is wrong, not only the first ----

op_preflight() {
    problems=0
    fact now "$(date +%s.%N)"
    check_machine
    check_checkout
    check_room
    check_units
    fact problem_count "$problems"
    ((problems == 0)) || die preflight "$problems problems"
}

problem() { # CODE WHAT
    problems=$((problems + 1))
    encoded problem "$1: ${2:0:400}"
}

check_machine() {
    local tool running
    ((EUID == 0)) || problem root "this doesn't run as root"
    for tool in awk curl find flock git journalctl runuser sha256sum systemctl systemd-analyze tar timeout zstd; do
        type -P "$tool" || problem tool "$tool isn't installed"
    done
    id -u -- "$user" || problem user "there is no user $user"
    running=$(systemctl is-system-running) || :
    [[ $running =~ ^(running|degraded|starting)$ ]] || problem systemd "systemd is ${running:-not running}"
    [[ -z $hostname || $hostname == "$(uname -n)" ]] || problem hostname "this is $(uname -n), not $hostname"
}

check_checkout() {
    local url edits
    url=$(git_here remote get-url origin) || { problem checkout "$checkout isn't a checkout with an origin"; return; }
    # What stands before an @ may be a password.
    [[ -z $remote || $remote == "$url" ]] || problem remote "origin is ${url/\/\/*@/\/\/}"
    edits=$(edited) || problem checkout "git can't tell what is edited"
    [[ -z $edits ]] || problem edited "files are edited in the checkout: $edits"
}

check_room() {
    local folder free
    for folder in "$releases" "$state"; do
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

main "$@" </dev/null
