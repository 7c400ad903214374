#!/usr/bin/env bash
# Runs the benchmarks, prints a table each, and writes every figure to FOLDER_OF_PROGRAMS/../bench-results.json.
#
#   bench/run.sh FOLDER_OF_PROGRAMS [--short | --scale full]
#
# --short: a small policy, a moment each, for the tests: the figures say nothing, the answers are checked all the same.
# By default the index and the listener stand on 1 million accounts and 10 million flags. --scale full: the index on 10 and
# 100 million; takes half an hour or more, 40 GB of disk and 16 GB of memory.
# Exit code 0 where every answer was the one it must be, else 1. How fast anything was never fails a run.
set -euo pipefail

programs=$(cd "${1:?usage: run.sh FOLDER_OF_PROGRAMS [--short | --scale full]}" && pwd)
mode=${*:2}
case $mode in
  '' | --short | '--scale full') ;;
  *)
    echo "run.sh: no option '$mode'; wanted --short, --scale full or none" >&2
    exit 2
    ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

index=()
[[ $mode == '--scale full' ]] && index=(--accounts 10000000 --flags 100000000)
if [[ $mode == --short ]]; then
  index=(--accounts 2000 --flags 20000 --few-flags 10000 --events 20 --import 5000 --rounds 1)
  results=$programs/../bench-results-short.json
  engine=(--accounts 1000 --buckets 2000 --flags 10000 --benchmark_min_time=0.005)
  grpc=(--accounts 1000 --buckets 2000 --flags 10000 --rounds 1 --seconds 0.2)
  wire=(--accounts 1000 --buckets 2000 --flags 10000 --rounds 1 --seconds 0.1)
else
  results=$programs/../bench-results.json
  # Repetitions in random order: a machine that grows slower meets all alike.
  engine=(--benchmark_min_time=0.2 --benchmark_repetitions=7 --benchmark_enable_random_interleaving=true)
  grpc=()
  wire=(--accounts 1000000 --buckets 1000000 --flags 10000000)
fi

commit=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
[[ -z $(git -C "$root" status --porcelain 2>/dev/null) ]] || commit+=', changed since'
machine="$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
build=$(sed -n 's/^CMAKE_BUILD_TYPE:[^=]*=//p' "$programs/../CMakeCache.txt" 2>/dev/null || true)
printf 'machine: %s\ncommit:  %s\nbuild:   %s\ncommand: bench/run.sh %s\n' "$machine" "$commit" "${build:-unknown}" "$mode"

failed=0
printf '\nThe engine alone, in process\n'
"$programs/sluice_engine_bench" "${engine[@]}" --benchmark_out="$work/engine.json" --benchmark_out_format=json \
  2>"$work/notes" || failed=1
# Google Benchmark's notes on the machine are of no use here; what is an error is.
[[ $failed == 0 ]] || cat "$work/notes" >&2

printf '\nThe index, in process\n'
"$programs/sluice_index_bench" "${index[@]}" --goals "$work/goals" || failed=1

printf '\nCheck over gRPC, beside an empty echo service\n'
"$programs/sluice_grpc_bench" "${grpc[@]}" --json "$work/grpc.json" || failed=1

printf '\nThe listener, beside gRPC C++, a ping-pong of bytes and nginx\n'
"$programs/sluice_wire_bench" "${wire[@]}" --json "$work/wire.json" --goals "$work/goals" || failed=1

# The short form of it is a test of its own.
if [[ $mode != --short ]]; then
  printf '\nThe listener under five times what it can do\n'
  "$programs/sluice_overload_bench" --goals "$work/goals" || failed=1
fi

# The short form of it is two tests of their own.
if [[ $mode != --short ]]; then
  printf '\nThe decision log, in process\n'
  "$programs/sluice_log_bench" write --seconds 60 --goals "$work/goals" || failed=1
  "$programs/sluice_log_bench" query --goals "$work/goals" || failed=1
fi

printf '\nGoals\n'
touch "$work/goals"
/usr/bin/python3 "$root/bench/goals.py" "$work/goals"

json_text() { sed 's/\\/\\\\/g; s/"/\\"/g' <<<"$1"; }
{
  printf '{"machine": "%s", "commit": "%s", "build": "%s",\n"engine": ' \
    "$(json_text "$machine")" "$(json_text "$commit")" "$(json_text "$build")"
  cat "$work/engine.json" 2>/dev/null || printf 'null\n'
  printf ', "goals": ['
  paste -sd, "$work/goals"
  printf ']'
  printf ', "wire": '
  cat "$work/wire.json" 2>/dev/null || printf 'null\n'
  printf ', "grpc": '
  cat "$work/grpc.json" 2>/dev/null || printf 'null\n'
  printf '}\n'
} >"$results"
printf '\nwritten: %s\n' "$(realpath --relative-to="$PWD" "$results" 2>/dev/null || echo "$results")"
exit "$failed"
