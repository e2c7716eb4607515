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

history_lines() { # names on stdin; a file's name says nothing of what is in it
    local name text who outcome sum
    while IFS= read -r name; do
        text=$(<"$DEPLOY/records/$name") who='' outcome=''
        [[ ! $text =~ \"id\":\"([^\"]*)\" ]] || who=${BASH_REMATCH[1]}
        [[ ! $text =~ \"outcome\":(\{\"outcome\":)?\"([^\"]*)\" ]] || outcome=${BASH_REMATCH[2]}
        sum=$(printf %s "$text" | sha256sum)
        printf '%s %s %s\n' "${who:--}" "${outcome:--}" "${sum%% *}"
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
            *@.service | *@.timer)
                [[ $ours == ' ' || " ${TEMPLATES[*]} " != *" ${path##*/} "* ]] || continue ;;
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
    local pair release template same=yes started=()
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
    for template in "${TEMPLATES[@]}"; do
        cmp -s -- "releases/$release/$template" "$UNITS/$template" || same=no
    done
    fact "unit.$1.templates" "$same"
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

# Prints the heartbeat's time and text, the newest log, the newest since the start, and errors and lines since then.
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
errors=0 lines=0
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
        at() >= since { lines++ }
        match(\$0, /\"level\"[ \t]*:[ \t]*\"[A-Za-z]+\"/) {
            level = toupper(substr(\$0, RSTART, RLENGTH))
            if (level ~ /ERROR|FATAL|CRITICAL|PANIC/ && at() >= since) n++
        }
        END { if (many || (cut && NR < 2)) print \"unknown\"; else print n + 0, lines + 0 }") || exit 0
    [[ $found =~ ^[0-9]+\ [0-9]+$ ]] || exit 0
    errors=$((errors + ${found% *})) lines=$((lines + ${found#* }))
done < <(printf %s "${touched:+$touched
}")
echo "$errors $lines"
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
    text=${saw[3]-}
    fact "unit.$1.errors" "${text% *}"
    fact "unit.$1.log_lines" "${text#* }"
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

