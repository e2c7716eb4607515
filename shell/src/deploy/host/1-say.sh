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

