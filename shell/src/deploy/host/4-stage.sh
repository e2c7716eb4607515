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
    local folder=$scratch/units template unit text found ignored failed=0 strategy program
    for template in "${TEMPLATES[@]}"; do [[ -f $1/$template ]] || die units "it lacks $template"; done
    rm -rf -- "$folder"
    { mkdir -- "$folder" && cp -- "${TEMPLATES[@]/#/$1/}" "$folder"; } || die disk "can't copy units"
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
    found=$(timeout 60 systemd-analyze verify --man=no "$folder"/*.{service,timer} 2>&1) || failed=$?
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

