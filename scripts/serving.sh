# A server for scripts/run and scripts/demo: started, waited for, given a tenant, project and token.
#
# To be sourced by bash scripts that stand in the checkout's folder. They set `tamiz` to the program
# with the configuration flags that all of its commands shall see, and `data_dir` to its data folder.
# The token is kept in that folder, readable by its owner only, so that it is made once.

# A cold start makes a cluster, migrates and compiles plugins: seconds, on a busy machine a minute.
readonly START_SECONDS_MAX=180
# `tamiz` drains for shutdown_grace_seconds (20 s) before it ends.
readonly STOP_SECONDS_MAX=60
readonly TENANT=demo
readonly PROJECT=vulnshop

server_pid=

# Whether something takes connections on that port of 127.0.0.1.
port_is_taken() { # port
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The first free port from the default one on.
free_port() {
    local port
    for ((port = 8600; port < 8700; port++)); do
        port_is_taken "$port" || { echo "$port"; return; }
    done
    echo "no port from 8600 to 8699 is free on 127.0.0.1" >&2
    return 1
}

# One HTTP exchange without curl: prints status line, head and body.
http() { # host:port method path [token] [json]
    local address=$1 method=$2 path=$3 token=${4:-} json=${5:-} host
    host=${address%:*}
    host=${host//[][]/}
    { exec 3<>"/dev/tcp/$host/${address##*:}"; } 2>/dev/null || return 1
    {
        printf '%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n' "$method" "$path" "$address"
        [ -z "$token" ] || printf 'Authorization: Bearer %s\r\n' "$token"
        [ -z "$json" ] || printf 'Content-Type: application/json\r\nContent-Length: %d\r\n' "${#json}"
        printf '\r\n%s' "$json"
    } >&3
    timeout 10 cat <&3 || true
    exec 3<&- 3>&-
}

is_ready() { # host:port
    local answer
    answer=$(http "$1" GET /readyz 2>/dev/null) || return 1
    [[ $answer == "HTTP/1.1 200"* ]]
}

# Starts the server; its log goes where the caller sent this function's output.
start_server() { # host:port serve-argument...
    local address=$1 deadline=$((SECONDS + START_SECONDS_MAX))
    shift
    "${tamiz[@]}" serve "$@" &
    server_pid=$!
    until is_ready "$address"; do
        kill -0 "$server_pid" 2>/dev/null || { server_pid=; return 1; }
        ((SECONDS < deadline)) || {
            echo "the server is not ready after $START_SECONDS_MAX s" >&2
            return 1
        }
        sleep 0.1
    done
}

# Asks the server to end and waits; ends it hard when it does not.
stop_server() {
    [ -n "$server_pid" ] || return 0
    local deadline=$((SECONDS + STOP_SECONDS_MAX))
    kill -TERM "$server_pid" 2>/dev/null || true
    while kill -0 "$server_pid" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$server_pid" 2>/dev/null || true
        sleep 0.1
    done
    wait "$server_pid" 2>/dev/null || true
    server_pid=
}

# Makes sure of the tenant, the project and a live token in `token`. The server must be ready.
demo_token() { # host:port
    local file=$data_dir/demo-token id said
    "${tamiz[@]}" tenant create "$TENANT" --if-absent >/dev/null
    if [ -s "$file" ]; then
        { read -r id; read -r token; } <"$file"
        "${tamiz[@]}" token list --tenant "$TENANT" | grep "$id" | grep -qw live && return
    fi
    said=$(mktemp)
    token=$("${tamiz[@]}" token create --tenant "$TENANT" --name demo --role admin 2>"$said") || {
        cat "$said" >&2
        rm -f "$said"
        return 1
    }
    id=$(grep -oE '[0-9a-f]{8}-[0-9a-f-]{27}' "$said")
    rm -f "$said"
    (umask 077 && printf '%s\n%s\n' "$id" "$token" >"$file")
    local document='mutation { createProject(input: {name: \"'$PROJECT'\"}) { errors { code } } }'
    # That it exists already is fine; what else could be wrong is met and said by the first scan.
    http "$1" POST /graphql "$token" "{\"query\": \"$document\"}" >/dev/null
}

say_where() { # host:port
    cat <<TEXT

  GraphiQL   http://$1/
  token      $token
TEXT
}
