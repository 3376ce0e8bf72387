#!/usr/bin/env bash
# Runs every benchmark in turn, half an hour to over one on two cores with nothing else to do, and keeps the objects they print in
# benchmarks/results/. With arguments (--quick) it is a try: nothing is kept. A goal that is not met does not stop the
# others; the last line says which.
set -uo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
failed=()
for name in throughput latency parallel isolation mesh budget controllers listedness; do
  echo "== $name $(date +%H:%M:%S)" >&2
  new=$(mktemp)
  "$python" "benchmarks/$name.py" --json "$@" > "$new" || failed+=("$name")
  if [ $# -gt 0 ]; then
    cat "$new"
  elif [ -s "$new" ]; then
    cat "$new" > "benchmarks/results/$name.json"
  fi
  rm -f "$new"
done
[ $# -gt 0 ] || "$python" benchmarks/table.py --write
echo "== done $(date +%H:%M:%S)" >&2
[ ${#failed[@]} -eq 0 ] || { echo "goals not met, or no result: ${failed[*]}" >&2; exit 1; }
