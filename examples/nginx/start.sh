#!/bin/sh
# Runs nginx as a cache before `cachedrill origin`, both in the foreground and on loopback, until it is told to end (SIGTERM, SIGINT).
# Nothing stays behind: also when it is killed, nginx, the origin and their folder go.
#
#   LISTEN         where nginx listens                      (127.0.0.1:8080)
#   ORIGIN         where the origin listens                 (127.0.0.1:9000)
#   ORIGIN_ADMIN   where the origin tells what reached it   (127.0.0.1:9001)
#   UPSTREAM       where nginx finds the origin: a proxy's address, or another origin's ($ORIGIN)
#   USE_STALE      nginx's proxy_cache_use_stale            (off: what Cache-Control allows, and nothing else)
#   ORIGIN_FLAGS   of cachedrill origin                     (--service-time 20ms --cache-control 'max-age=2, stale-while-revalidate=3')
#                  "none": it runs already
#   CACHEDRILL, NGINX   the programs                        (cachedrill, nginx)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${LISTEN:=127.0.0.1:8080}" "${ORIGIN:=127.0.0.1:9000}" "${ORIGIN_ADMIN:=127.0.0.1:9001}" "${USE_STALE:=off}"
: "${UPSTREAM:=$ORIGIN}" "${CACHEDRILL:=cachedrill}" "${NGINX:=nginx}"
: "${ORIGIN_FLAGS:=--service-time 20ms --cache-control 'max-age=2, stale-while-revalidate=3'}"
PATH=$PATH:/usr/sbin # where Debian has nginx, and users don't look
[ "$ORIGIN_FLAGS" != none ] || CACHEDRILL=true
for program in "$NGINX" "$CACHEDRILL"; do
	command -v "$program" >/dev/null || { echo "start.sh: there is no $program on the PATH" >&2; exit 2; }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/cachedrill-nginx.XXXXXX")
mkfifo "$dir/alive"
# It reads until nobody has the other end any more: so it sees the end of this script, whatever ended it.
(
	trap '' INT TERM HUP
	cat "$dir/alive" >/dev/null
	pids=$(cat "$dir/nginx.pid" "$dir/origin.pid" 2>/dev/null) || :
	tries=0
	while [ $tries -lt 20 ] && [ -n "$pids" ] && kill $pids 2>/dev/null; do # for as long as there is one
		tries=$((tries + 1))
		sleep 0.05
	done
	rm -rf "$dir"
) &
watcher=$!
exec 3>"$dir/alive"

origin="" nginx="" nap="" code=0
finish() {
	trap '' INT TERM HUP
	for pid in $nap $nginx $origin; do kill "$pid" 2>/dev/null || :; done
	wait $nap $nginx $origin 2>/dev/null || :
	rm -f "$dir/nginx.pid" "$dir/origin.pid"
	exec 3>&-
	wait "$watcher" || :
	exit "$code"
}
trap finish INT TERM HUP EXIT

if [ "$ORIGIN_FLAGS" != none ]; then
	eval "set -- $ORIGIN_FLAGS"
	"$CACHEDRILL" origin --listen "$ORIGIN" --admin "$ORIGIN_ADMIN" "$@" 3>&- &
	origin=$!
	echo "$origin" >"$dir/origin.pid"
fi

user=""
[ "$(id -u)" != 0 ] || user="user root;" # its workers would not get into the folder otherwise
sed -e "s|@USER@|$user|" -e "s|@LISTEN@|$LISTEN|" -e "s|@ORIGIN@|$UPSTREAM|" -e "s|@ORIGIN_ADMIN@|$ORIGIN_ADMIN|" \
	-e "s|@USE_STALE@|$USE_STALE|" "$here/nginx.conf" >"$dir/nginx.conf"
"$NGINX" -e stderr -p "$dir" -c nginx.conf -g 'daemon off;' 3>&- &
nginx=$!

# Whichever ends first ends the other.
while kill -0 "$nginx" 2>/dev/null && { [ -z "$origin" ] || kill -0 "$origin" 2>/dev/null; }; do
	sleep 1 3>&- >/dev/null 2>&1 &
	nap=$!
	wait "$nap"
done
code=1
