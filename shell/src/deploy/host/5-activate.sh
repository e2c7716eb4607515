# ---- activate: exactly the named units, each from one complete release to another ----

op_activate() {
    local unit template
    read_targets
    check_targets
    refuse_masked
    write_beside
    for unit in ${units[@]+"${units[@]}"}; do keep_foreign "$unit"; done
    keep_templates
    forget_changed
    for unit in ${units[@]+"${units[@]}"}; do switch "$unit"; done
    if ((${#units[@]} > 0)); then
        for template in "${TEMPLATES[@]}"; do mv -fT -- "$UNITS/.$template.magellan-new" "$UNITS/$template"; done
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
    local unit release target former drop_ins template
    for unit in ${units[@]+"${units[@]}"}; do
        release=releases/${release_of[$unit]} drop_ins=$UNITS/$unit.service.d
        target=${release#*/}-${binding_of[$unit]} former=$(bound "$unit")
        load_units "$release" || die incomplete "its list of units isn't plain"
        { mkdir -p -- "$drop_ins" &&
            install -m 0644 -- "units/$unit/$target/drop-in.conf" "$drop_ins/.magellan.conf.magellan-new" &&
            install -m 0644 -- "$release/${unit_file[$unit]}" "$UNITS/.$unit.service.magellan-new" &&
            ln -sT -- "$target" "units/$unit/.new-current" &&
            printf '%-200s\n' '' >"$DEPLOY/started/.new-$unit"; } || die disk "can't write $unit"
        [[ -z $former || $former == "$target" ]] || ln -sT -- "$former" "units/$unit/.new-previous" ||
            die disk "can't write $unit"
        for template in "${TEMPLATES[@]}"; do
            install -m 0644 -- "$release/$template" "$UNITS/.$template.magellan-new" || die disk "can't write $template"
        done
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

keep_templates() { # empty: there was none
    local template kept
    ((${#units[@]} > 0)) || return 0
    for template in "${TEMPLATES[@]}"; do
        kept=$DEPLOY/foreign/$template
        [[ ! -e $kept ]] || continue
        { : >"$kept.new" && keep_file "$UNITS/$template" "$kept.new" && mv -T -- "$kept.new" "$kept"; } ||
            die disk "can't keep $template"
    done
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

# What a service needs in its state folder is there, whatever its user did to it: as that user, so that no link leads root
# astray. What is in the way is put aside.
readonly MEND='
cd -- "$1" || exit 0
chmod u+rwx .
aside() { mv -T -- "$1" ".aside-$(date +%s%N)-$1"; }
is() { [[ ! -L $2 ]] && test "$1" "$2"; }
for name in logs heartbeat.json lock; do
    [[ -e $name || -L $name ]] || continue
    if [[ $name == logs ]]; then is -d "$name" && chmod u+rwx "$name"; else is -f "$name"; fi || aside "$name"
done
[[ ! -d logs ]] || find logs -maxdepth 1 ! -type f ! -type d -exec mv -T -- {} {}.aside \;
'

mend_state() { # UNIT
    local strategy=${1#magellan-}
    [[ ! -d $STATE/${strategy//-/_} ]] || logged as_user 20 bash -c "$MEND" mend "$STATE/${strategy//-/_}" || :
}

restart() { # UNIT
    rm -f -- "$DEPLOY/started/$1"
    mend_state "$1"
    # A unit that crashed too often isn't started again before its counter is reset.
    systemctl_ reset-failed "$1.service" || :
    systemctl_ restart "$1.service" || not_started "$1"
    note_start "$1"
    tally restarted "$1"
}

not_started() { # UNIT
    local journal_of_it
    journal_of_it=$(journal_of "$1")
    fact "unit.$1.journal" "$journal_of_it"
    # Its own word says more than systemd's.
    journal_of_it=$(grep -F 'error' <<<"$journal_of_it" | tail -n 1 | sed 's/^[^:]*: //') || :
    die restart "$1 didn't start${journal_of_it:+: ${journal_of_it:0:300}}"
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
    # First: systemd loads anew with the next line, and a timer whose template is gone has failed.
    systemctl_ stop "magellan-parity@$1.timer" || :
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

put_back_templates() { # what is kept is empty if there was none
    local template kept
    for template in "${TEMPLATES[@]}"; do
        kept=$DEPLOY/foreign/$template
        [[ -e $kept ]] || continue
        [[ -s $kept ]] || { rm -f -- "$UNITS/$template"; continue; }
        { cp -a -- "$kept" "$UNITS/.$template.magellan-new" &&
            mv -fT -- "$UNITS/.$template.magellan-new" "$UNITS/$template"; } || die disk "can't put back $template"
    done
}

op_deactivate() {
    local unit left
    ((${#asked[@]} > 0)) || readarray -t asked < <(installed)
    left=$(comm -23 <(installed) <(printf '%s\n' ${asked[@]+"${asked[@]}"} | sort -u))
    [[ -n $left ]] || put_back_templates
    for unit in ${asked[@]+"${asked[@]}"}; do retire_unit "$unit"; done
    [[ -n $left ]] || rm -f -- "${TEMPLATES[@]/#/$DEPLOY/foreign/}"
    systemctl_ daemon-reload || :
}

