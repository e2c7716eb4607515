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
