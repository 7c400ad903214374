#!/usr/bin/env bash
# Counts the instructions of one check with valgrind's callgrind, case by case, and shows where they go: of Engine::Check
# alone, then of Http2Session::Receive, which reads the frames of a call, checks, and writes those of its answer. Neither
# building the policy nor asking the question is counted. Counts do not depend on what else the machine does; they say
# nothing about waiting for memory.
#
#   bench/instructions.sh FOLDER_OF_PROGRAMS [LINES]
#
# LINES: how many functions to show of each case (default 12). Needs valgrind.
set -euo pipefail

programs=$(cd "${1:?usage: instructions.sh FOLDER_OF_PROGRAMS [LINES]}" && pwd)
lines=${2:-12}
command -v valgrind >/dev/null || {
  echo "instructions.sh: valgrind is not installed: apt-get install valgrind" >&2
  exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly count=2000

# count_and_show NAME CALLS FUNCTION PROGRAM [ARGUMENTS]: what FUNCTION takes of each of CALLS calls.
count_and_show() {
  local name=$1 calls=$2 function=$3 out=$work/callgrind total inclusive
  shift 3
  valgrind --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no --toggle-collect="$function" "$@" \
    >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
  }
  total=$(sed -n 's/^summary: //p; s/^totals: //p' "$out" | head -n 1)
  printf '%-28s %6d instructions a check\n' "$name" $((total / calls))
  # Shares of all: of functions with what they call, then of their own. A function stands in callgrind's list once for each
  # file that it was inlined from: of the first the largest is meant, of the second the sum.
  for inclusive in yes no; do
    [[ $inclusive == yes ]] && echo '  with what they call' || echo '  their own'
    callgrind_annotate --threshold=100 "--inclusive=$inclusive" --auto=no --show-percs=yes "$out" 2>/dev/null |
      sed -nE 's/^ *[0-9,]* *\( *([0-9.]*)%\) *[^ :]*:(.*)$/\1 \2/p' |
      sed -E '/PROGRAM TOTALS|sluice::bench|libc_start|below main|^[0-9.]* main( |$)|0x[0-9a-f]{8}/d; s/ \[[^]]*\]$//; s/\[abi:cxx11\]//g; s/absl::debian[0-9]+:://g
              s/std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> ?>/std::string/g' |
      awk -v inclusive="$inclusive" '
        { share = $1; sub(/^[^ ]* /, ""); if (inclusive == "no") of[$0] += share; else if (share > of[$0]) of[$0] = share }
        END { for (name in of) printf "%6.2f%% %s\n", of[name], name }' |
      sort -rn | awk -v lines="$lines" 'NR <= lines { print "  " substr($0, 1, 140) }'
  done
}

readonly sizes=(--accounts 200 --buckets 400 --flags 2000)
for case in check/allow_owner check/allow_cdn check/allow_cdn_1_limit check/allow_cdn_3_limits check/allow_cdn_5_limits \
  check/deny_flag check/deny_freeze; do
  count_and_show "$case" "$count" 'sluice::Engine::Check(sluice::CheckInput const&, sluice::Moment)' \
    "$programs/sluice_engine_bench" "${sizes[@]}" --count "$count" --case "$case"
done
for case in null bare watched; do
  count_and_show "session/$case" 20032 'sluice::http2::Http2Session::Receive(absl::*' \
    "$programs/sluice_wire_bench" "${sizes[@]}" --session-calls 20032 --session-case "$case"
done
