#!/usr/bin/env bash
# Runs every benchmark in turn, an hour or more on two cores with nothing else to do, and keeps the objects they print in
# benchmarks/results/. With arguments (--quick) it is a try: nothing is kept. A goal that is not met does not stop the
# others; the last line says which. Those that measure on real data are left out where there is none, and their results stand.
set -uo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
failed=()
names=(throughput latency parallel isolation mesh budget controllers redaction)
[ -d ../shared/data ] && names+=(tools listedness retrieval small_model extraction transfer cascade review_order knowledge_saving)
for name in "${names[@]}"; do
  echo "== $name $(date +%H:%M:%S)" >&2
  new=$(mktemp)
  more=()
  [ "$name" = controllers ] && more=(--mesh)
  "$python" "benchmarks/$name.py" --json "${more[@]}" "$@" > "$new" || failed+=("$name")
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
