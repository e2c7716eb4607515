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

