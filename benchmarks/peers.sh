#!/usr/bin/env bash
# Makes the environments of the tools that whyconv is compared with, from pinned lists, outside of the project:
#     benchmarks/peers.sh [fastai] [keras] [openvino]      all of them where none is named
# They lie in ${WHYCONV_RACE:-~/.cache/whyconv-race}/peers; fastai's takes 6 GB, for its torch is a CUDA build.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
place=${WHYCONV_RACE:-${XDG_CACHE_HOME:-$HOME/.cache}/whyconv-race}/peers
python=${PYTHON:-python3}

for name in "${@:-fastai keras openvino}"; do
    for peer in $name; do
        list=$here/peers/requirements-$peer.txt
        [[ -f $list ]] || { echo "There is no list $list. Expected fastai, keras or openvino." >&2; exit 2; }
        stamp=$place/$peer/installed.txt
        if [[ -f $stamp ]] && cmp -s "$list" "$stamp"; then
            echo "$peer: is there"
            continue
        fi
        nice -n 10 "$python" -m venv --clear "$place/$peer"
        nice -n 10 "$place/$peer/bin/python" -m pip install --quiet --no-deps -r "$list"
        cp "$list" "$stamp"
        echo "$peer: $place/$peer"
    done
done
