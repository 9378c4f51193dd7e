#!/bin/bash
# As much of valkey-cli as the compose files use, for machines that have a server and no client:
#
#   valkey-cli [-e] -p PORT WORD...
#   valkey-cli --cluster create 127.0.0.1:PORT... --cluster-yes

# Prints the first line of the answer, but for a bulk's length. Fails at an error, as `-e` asks for.
ask() {
  local port=$1 answer
  exec 3<>"/dev/tcp/127.0.0.1/$port" || return
  printf '%s\r\n' "${*:2}" >&3
  IFS= read -r -t 2 answer <&3 || return
  [[ $answer != '$'* ]] || IFS= read -r -t 2 answer <&3 || return
  echo "${answer%$'\r'}"
  [[ $answer != -* ]]
}

if [[ $1 != --cluster ]]; then
  while [[ $1 == -* ]]; do
    case $1 in
      -e) shift ;;
      -p) port=$2; shift 2 ;;
      *) echo "valkey-cli: there is no $1 here" >&2; exit 1 ;;
    esac
  done
  ask "$port" "$@"
  exit
fi

ports=()
for word in "${@:3}"; do
  [[ $word != 127.0.0.1:* ]] || ports+=("${word#*:}")
done
count=${#ports[@]}
for ((i = 0; i < count; i++)); do
  ask "${ports[i]}" cluster set-config-epoch $((i + 1)) &&
    ask "${ports[i]}" cluster addslotsrange $((i * 16384 / count)) $(((i + 1) * 16384 / count - 1)) || exit
done
for port in "${ports[@]:1}"; do
  ask "${ports[0]}" cluster meet 127.0.0.1 "$port" || exit
done
# The answer begins with the number of ranges of slots that the store knows an owner of.
for port in "${ports[@]}"; do
  until [[ $(ask "$port" cluster slots) == "*$count" ]]; do
    ((SECONDS < 30)) || { echo "valkey-cli: the cluster does not form" >&2; exit 1; }
    # There is no `sleep` in the image.
    read -r -t 0.1 <> <(:) || true
  done
done
