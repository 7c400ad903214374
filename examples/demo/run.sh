#!/usr/bin/env bash
# The main job, end to end: sluiced on a store of its own, seeded from policy.yaml, with a handful of decisions and a
# replay of a real access log. ./dev run calls it.
#
#   examples/demo/run.sh FOLDER_OF_PROGRAMS [--once]
#
# Stays up until Ctrl-C, or with --once until all was shown. Everything lives in one temporary folder that goes with it.
# Exit code 0 where every answer was the one that policy.yaml is there to show, else 1.
set -euo pipefail

programs=$(cd "${1:?usage: run.sh FOLDER_OF_PROGRAMS [--once]}" && pwd)
# Every command is shown as it is run, from the root of the tree.
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
once=${2:-}
server=''
folder=''
surprises=0

# A socket's name has at most 107 bytes: where TMPDIR is too long for that, /tmp.
folder=$(mktemp -d "${TMPDIR:-/tmp}/sluice-demo.XXXXXX")
if ((${#folder} > 90)); then
  rmdir "$folder"
  folder=$(mktemp -d /tmp/sluice-demo.XXXXXX)
fi
readonly log=$folder/sluiced.log
export SLUICE_CHECK=unix:$folder/check.sock SLUICE_ADMIN=unix:$folder/admin.sock
PATH=$programs:$PATH

clean_up() {
  trap - EXIT INT TERM
  if [[ -n $server ]] && kill -TERM "$server" 2>/dev/null; then
    wait "$server" || true
  fi
  rm -rf "$folder"
}
trap clean_up EXIT
# Asked to stop is how this ends well.
trap 'printf "\nStopping.\n"; clean_up; exit 0' INT TERM

fail() {
  printf 'demo: %s\n' "$1" >&2
  [[ ! -s $log ]] || { echo 'demo: the last lines of the log of sluiced:' && tail -n 20 "$log"; } >&2
  exit 1
}

heading() { printf '\n\033[1m%s\033[0m\n' "$1"; }
# No colours where nobody looks.
[[ -t 1 && -z ${NO_COLOR:-} ]] || heading() { printf '\n%s\n' "$1"; }

# Waits until the log of sluiced has a line with $1; nothing else waits by the clock.
await() {
  local tries
  for ((tries = 0; tries < 300; ++tries)); do
    grep -q "$1" "$log" 2>/dev/null && return
    kill -0 "$server" 2>/dev/null || fail 'sluiced did not start'
    sleep 0.1
  done
  fail "waited 30 s for \"$1\" in the log of sluiced"
}

start() {
  # In the background it does not hear a Ctrl-C, which goes to the whole group of the terminal: clean_up asks it to stop.
  sluiced --listen-check "$SLUICE_CHECK" --listen-admin "$SLUICE_ADMIN" --listen-http 127.0.0.1:0 \
    --store-path "$folder/store" --store-map-bytes 64MiB --log-format text --drain 2s 2>"$log" &
  server=$!
  await ' info started '
  local http
  http=$(sed -n 's/.* listening for="metrics and health" address=//p' "$log")
  heading 'sluiced is up:'
  printf '  checks          %s\n  administration  %s\n  metrics         http://%s/metrics, /healthz, /readyz\n' \
    "$SLUICE_CHECK" "$SLUICE_ADMIN" "$http"
  printf '  store           %s\n' "$folder/store"
}

# decide TITLE WANTED_EXIT_CODE check|explain ARGUMENTS: shows one decision. Exit codes: 0 allow, 1 deny, 4 throttle.
decide() {
  local title=$1 wanted=$2 code=0
  shift 2
  heading "$title"
  show sluicectl "$@" || code=$?
  if ((code != wanted)); then
    printf 'demo: wanted exit code %d, got %d\n' "$wanted" "$code" >&2
    surprises=$((surprises + 1))
  fi
}

# Asks until a rate limit says no: policy.yaml gives this address five requests, and one more every five seconds.
decide_throttle() {
  local ask=(check --op PUBLIC_READ --host www.example.cn --path /index.html --ip 130.237.218.86) tries
  for ((tries = 0; tries < 20; ++tries)); do
    sluicectl "${ask[@]}" >/dev/null || break
  done
  decide 'Throttle: this address has used up its requests' 4 "${ask[@]}"
}

# show COMMAND: prints it, then runs it.
show() {
  printf '$ %s\n' "$*"
  "$@"
}

start

heading 'The policy: accounts in several states, flags, a legal order, limits'
show sluicectl apply -f examples/demo/policy.yaml || fail 'policy.yaml was not applied'

decide 'Allow: a visitor reads a page' 0 \
  check --op PUBLIC_READ --host www.example.cn --path /index.html --ip 203.0.113.9
decide_throttle
decide 'Deny: the account of this bucket is frozen; Kodo answers 419' 1 \
  check --op PUBLIC_READ --bucket willow-photos --key cat.jpg --dialect KODO
decide 'Deny: this object is flagged' 1 \
  check --op PUBLIC_READ --host www.example.cn --path /projects/xdotool/xdotool.xhtml --ip 203.0.113.9
decide 'Deny: a legal order bars this domain' 1 \
  check --op PUBLIC_READ --host forum.example.com --path / --ip 203.0.113.9
decide 'Why: everything that bears on the frozen account and its 30 days' 1 \
  explain --op UPLOAD --bucket willow-photos --key cat.jpg --requester u-willow

heading 'What this policy would have answered to a real access log, line by line'
show sluicectl replay examples/data/combined.log --live --host www.example.cn --top 5 || fail 'the replay failed'

if [[ $once == --once ]]; then
  ((surprises == 0)) || fail "$surprises answers were not those that policy.yaml is there to show"
  exit 0
fi
heading 'Up until Ctrl-C. In another terminal:'
printf '  export SLUICE_CHECK=%s SLUICE_ADMIN=%s PATH=%s:"$PATH"\n' "$SLUICE_CHECK" "$SLUICE_ADMIN" "$programs"
printf '  sluicectl account unfreeze u-willow\n  sluicectl watch\n'
code=0
wait "$server" || code=$?
server=''
fail "sluiced ended by itself with exit code $code"
