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

