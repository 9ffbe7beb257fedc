# Two machines, and one that nothing reaches: network namespaces with stores and homes of their own. Sourced by .ci/long.
#
# A builds and gives; B takes over a link with a rate (tbf), a delay (a proxy) and loss (nft); C has no network at all.

# A command of A, B or C, each with its own home, store and folder.
machine() {
    local where=$1
    shift
    (cd "$scratch/$where" && ip netns exec "recipe-$where" env -u XDG_DATA_HOME -u XDG_CONFIG_HOME \
        -u XDG_CACHE_HOME -u RECIPE_STORE HOME="$scratch/$where/home" "$@")
}

wait_for() {
    local where=$1 port=$2 try
    for try in $(seq 100); do
        machine "$where" python3 -c "import socket; socket.create_connection(('10.77.0.1', $port), 1)" \
            2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

machines() {
    local where key pids=() url id
    if ! is_root || ! have ip || ! ip netns add recipe-a 2>/dev/null; then
        skip "two machines" "root and iproute2 are wanted"
        return
    fi
    for where in b c; do ip netns add "recipe-$where"; done
    for where in a b c; do
        mkdir -p "$scratch/$where/home"
        cp -r "$clone/recipes" "$scratch/$where/"
        ip -n "recipe-$where" link set lo up
    done
    rm -rf "$scratch/c/recipes"
    ip -n recipe-a link add to-b type veth peer name to-a netns recipe-b
    ip -n recipe-a addr add 10.77.0.1/24 dev to-b
    ip -n recipe-b addr add 10.77.0.2/24 dev to-a
    ip -n recipe-a link set to-b up
    ip -n recipe-b link set to-a up
    # 118 MB/s, and one packet of a thousand is lost.
    tc -n recipe-a qdisc add dev to-b root tbf rate 944mbit burst 256kb latency 50ms
    if have nft; then
        ip netns exec recipe-b nft 'add table inet t; add chain inet t in { type filter hook input priority 0; };
            add rule inet t in iifname "to-a" numgen random mod 1000 < 1 drop'
    fi
    # A has built: its store is that of the main job.
    a() { (cd "$scratch/a" && ip netns exec recipe-a env HOME="$home" "$recipe" "$@"); }
    b() { machine b "$recipe" "$@"; }
    c() { machine c "$recipe" "$@"; }
    check "A builds" tool build --locked scylla-python
    check "A has a key" a key new machine-a
    key=$(a key show | sed -n 's/^own *//p')
    check "B trusts it" b key trust "$key"
    check "C trusts it" c key trust "$key"
    id=$(basename "$(readlink "$clone/result/scylla-python")")
    same() { test "$(basename "$(readlink "$1")")" = "$id"; }

    mkdir -p "$scratch/www"
    check "A pushes into a folder" a push scylla-python --to "$scratch/www/cache"
    if have nginx; then
        cat >"$scratch/nginx.conf" <<END
daemon off; user root; worker_processes 1; pid $scratch/nginx.pid; error_log $logs/nginx.log;
events {}
http { access_log $logs/access.log; server { listen 10.77.0.1:8080; root $scratch/www; } }
END
        ip netns exec recipe-a nginx -c "$scratch/nginx.conf" & pids+=($!)
        wait_for b 8080
        check "B takes it from nginx" b pull scylla-python --cache http://10.77.0.1:8080/cache --store "$scratch/b/nginx"
        check "it is the same object" same "$scratch/b/result/scylla-python"
        ip netns exec recipe-a python3 "$root/benches/delay.py" 10.77.0.1 8081 8080 & pids+=($!)
        wait_for b 8081
        check "B takes it over 20 ms" b pull scylla-python --cache http://10.77.0.1:8081/cache --store "$scratch/b/late"
        figures+=("a closure over 118 MB/s and 20 ms: $(grep -o '[0-9.]* s (proof' "$(log_of "B takes it over 20 ms")" | head -1)")
    else
        skip "B takes it from nginx" "nginx is wanted"
    fi
    (cd "$scratch/a" && exec ip netns exec recipe-a env HOME="$home" "$recipe" serve --listen 10.77.0.1:7700 \
        --folder "$scratch/a/served") >"$logs/serve.log" 2>&1 & pids+=($!)
    wait_for b 7700
    check "B takes it from A itself" b pull scylla-python --cache http://10.77.0.1:7700 --store "$scratch/b/serve"
    check "it is the same object again" same "$scratch/b/result/scylla-python"
    check "B's program runs" "$scratch/b/result/scylla-python/bin/python3" -c "$import_all"
    s3
    check "A makes a bundle" a bundle create scylla-python --prove build --with-tool --output "$scratch/out.bundle"
    check "C takes the bundle" c bundle import "$scratch/out.bundle" --sources
    check "C builds from it" c build --offline --locked recipes/scylla-python.kdl
    check "it is the same object there" same "$scratch/c/result/scylla-python"
    kill "${pids[@]}" 2>/dev/null
    for where in a b c; do ip netns del "recipe-$where"; done
}

# A real server of S3, on A.
s3() {
    local name="B takes it from an S3 server" venv=$scratch/moto
    if ! python3 -m venv "$venv" >"$logs/moto.log" 2>&1 ||
        ! "$venv/bin/pip" install -q 'moto[server]' >>"$logs/moto.log" 2>&1; then
        skip "$name" "moto cannot be installed: $(tail -n 1 "$logs/moto.log")"
        return
    fi
    ip netns exec recipe-a "$venv/bin/moto_server" -H 10.77.0.1 -p 9000 >>"$logs/moto.log" 2>&1 & pids+=($!)
    wait_for b 9000
    ip netns exec recipe-a python3 -c "import urllib.request as u
u.urlopen(u.Request('http://10.77.0.1:9000/builds', method='PUT'))"
    for where in a b; do
        (umask 077 && printf 'testing:testing\n' >"$scratch/$where/s3-key")
    done
    mkdir -p "$home/.config/recipe" "$scratch/b/home/.config/recipe"
    printf 'cache "s3://builds/team" endpoint="http://10.77.0.1:9000" credentials="%s"\n' "$scratch/a/s3-key" \
        >"$home/.config/recipe/config.kdl"
    printf 'cache "s3://builds/team" endpoint="http://10.77.0.1:9000" credentials="%s"\n' "$scratch/b/s3-key" \
        >"$scratch/b/home/.config/recipe/config.kdl"
    check "A pushes to an S3 server" a push scylla-python
    check "$name" b pull scylla-python --store "$scratch/b/s3"
    check "it is the same object from there" same "$scratch/b/result/scylla-python"
    rm "$home/.config/recipe/config.kdl" "$scratch/b/home/.config/recipe/config.kdl"
}
