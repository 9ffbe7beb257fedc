# What .ci/run and .ci/long share: counting, and a fresh place to work in. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
passed=0 failed=0 skipped=0
# A short path: the closure's own proof adds long ones, and a path has at most 4096 bytes.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/recipe-ci.XXXXXX")
logs=$scratch/logs
mkdir -p "$logs"
failures=()
figures=()

# What .ci/run may have: a folder in memory, and the process that compiles meanwhile.
memory='' meanwhile=''

tidy() {
    status=$?
    [ -z "$meanwhile" ] || pkill -P "$meanwhile"
    # Closures may be read-only, and parts of them belong to another user.
    chmod -R u+w "$scratch" $memory 2>/dev/null
    rm -rf "$scratch" $memory
    exit "$status"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*"; }

log_of() { printf '%s/%s.log' "$logs" "$(printf '%s' "$1" | tr -c 'A-Za-z0-9' '-')"; }

# good NAME / bad NAME WHY / skip NAME WHY: one check ended.
good() { passed=$((passed + 1)); say "ok       $1"; }
bad() { failed=$((failed + 1)); failures+=("$1"); say "FAILED   $1${2:+: $2}"; }
skip() { skipped=$((skipped + 1)); say "skipped  $1: $2"; }

# check NAME COMMAND...: passes when the command succeeds. Its output is shown when it fails.
check() {
    local name=$1 log begun code
    shift
    log=$(log_of "$name")
    begun=$SECONDS
    "$@" >"$log" 2>&1 </dev/null
    code=$?
    if [ $code -eq 0 ]; then
        good "$name ($((SECONDS - begun)) s)"
    else
        sed 's/^/    | /' "$log" | tail -n 80
        bad "$name" "exit code $code after $((SECONDS - begun)) s"
    fi
    return $code
}

# check_code NAME CODE COMMAND...: passes when the command ends with CODE.
check_code() {
    local name=$1 wanted=$2 log code
    shift 2
    log=$(log_of "$name")
    "$@" >"$log" 2>&1 </dev/null
    code=$?
    if [ $code -eq "$wanted" ]; then
        good "$name"
    else
        sed 's/^/    | /' "$log" | tail -n 40
        bad "$name" "exit code $code instead of $wanted"
    fi
}

# cargo_tests NAME COMMAND...: runs `cargo test` and counts what each test program reported.
cargo_tests() {
    local name=$1 log code good_ones bad_ones ignored aside
    shift
    log=$(log_of "$name")
    "$@" >"$log" 2>&1 </dev/null
    code=$?
    # Only cargo's own summary lines: 'test result: ok. 12 passed; 0 failed; 0 ignored; ...'
    read -r good_ones bad_ones ignored < <(awk '
        /^test result: (ok|FAILED)\. [0-9]+ passed; [0-9]+ failed; [0-9]+ ignored;/ {
            passed += $4; failed += $6; ignored += $8
        }
        END { print passed + 0, failed + 0, ignored + 0 }' "$log")
    passed=$((passed + good_ones))
    failed=$((failed + bad_ones))
    # A test that cannot run here says so and passes; it counts as skipped, not as passed.
    aside=$(grep -c '^skipped: ' "$log")
    passed=$((passed - aside))
    skipped=$((skipped + ignored + aside))
    say "$name: $((good_ones - aside)) passed, $bad_ones failed, $((ignored + aside)) skipped"
    grep '^skipped: ' "$log" | sort | uniq -c | sed 's/^/    /'
    if [ "$code" -ne 0 ]; then
        grep -E '^test .* FAILED$|^    [a-z_]+(::[a-z0-9_]+)+$' "$log" | sort -u | sed 's/^/    | /'
        sed -n '/^failures:/,$p' "$log" | tail -n 150 | sed 's/^/    | /'
        grep -E '^error' -A 12 "$log" | head -n 60 | sed 's/^/    | /'
        never_ended "$log" | sed 's/^/    | /'
        if [ "$bad_ones" -eq 0 ]; then
            bad "$name" "exit code $code before any test failed"
        else
            failures+=("$name")
        fi
    elif [ "$good_ones" -eq 0 ]; then
        bad "$name" "it ran no test"
    fi
}

# never_ended LOG: the tests that cargo complained of for their time and that have no result.
never_ended() {
    awk '/ has been running for over 60 seconds$/ { slow[$2] = 1 }
         /^test .* \.\.\. / { delete slow[$2] }
         END { for (test in slow) print "never ended: " test }' "$1"
}

is_root() { [ "$(id -u)" -eq 0 ]; }
have() { command -v "$1" >/dev/null 2>&1; }

# need PACKAGE...: installs what is missing, where that can be done. What could not be had makes
# the checks that use it skip themselves.
need() {
    local missing=() package
    have dpkg || return 0
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! is_root; then
        say "not root, so not installed: ${missing[*]}"
        return 0
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update >"$logs/apt.log" 2>&1
    for package in "${missing[@]}"; do
        apt-get -qq install -y --no-install-recommends "$package" >>"$logs/apt.log" 2>&1 ||
            say "could not install $package"
    done
}

# fresh: runs a command as somebody with an empty home and an empty store. The toolchain stays.
fresh() {
    env -u XDG_DATA_HOME -u XDG_CONFIG_HOME -u XDG_CACHE_HOME -u RECIPE_STORE -u RECIPE_PATH \
        -u RECIPE_JOBS -u RECIPE_OFFLINE -u MAKEFLAGS -u CARGO_MAKEFLAGS \
        HOME="$home" CARGO_HOME="$cargo_home" RUSTUP_HOME="$rustup_home" \
        CARGO_TARGET_DIR="$target" "$@"
}

# A clone of what is committed, with nothing around it.
fresh_clone() {
    home=$scratch/home
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
    target=${CARGO_TARGET_DIR:-$root/target}
    clone=$scratch/recipe
    mkdir -p "$home"
    git clone --quiet "$root" "$clone" 2>"$logs/clone.log" ||
        git -c safe.directory='*' clone --quiet "$root" "$clone"
    recipe=$target/release/recipe
}

# run_in_empty_root CLOSURE COMMAND...: the closure is all there is.
run_in_empty_root() {
    local closure=$1
    shift
    rm -rf "$scratch/root"
    mkdir -p "$scratch/root/somewhere else"
    cp -a "$closure/." "$scratch/root/somewhere else/"
    chroot "$scratch/root" "/somewhere else/$1" "${@:2}"
}

# The unpacked size of a folder in bytes, links not followed.
bytes_in() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'; }

finish() {
    say
    if [ ${#figures[@]} -gt 0 ]; then
        printf '%s\n' "${figures[@]}"
        say
    fi
    if [ ${#failures[@]} -gt 0 ]; then
        say "what failed:"
        printf '  %s\n' "${failures[@]}"
        say
    fi
    say "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && exit 0
    exit 1
}
