#!/usr/bin/env bash
# On a machine with an NVIDIA GPU and CuPy: is the CuPy backend right, and how fast is it? In ten
# minutes, the most telling first; each stage has a limit and its own lines in a report. Exits with
# 1 if one failed. What is missing (nvidia-smi, PyTorch) is said, and the rest is done.
#
#     bash benchmarks/gpu_check.sh [--report FILE] [STAGE ...]     (all stages; gpu-report.txt)
#
# TIMES=5 before it: five times the limits, for a CPU that stands in for the GPU (.ci/run).
set -uo pipefail
stages=(environment losses suite steps scripts repeat sampling pytorch)
report=gpu-report.txt
if [ "${1:-}" = --report ]; then report=${2:?gpu_check.sh: --report needs a FILE}; shift 2; fi
for stage in "$@"; do
    case " ${stages[*]} " in *" $stage "*) ;; *)
        echo "gpu_check.sh: error: no stage '$stage': choose from ${stages[*]}" >&2; exit 2 ;; esac
done
chosen=("${@:-${stages[@]}}")
report=$(realpath "$report")
cd "$(dirname "$0")/.."
command -v python > /dev/null || { python() { python3 "$@"; }; export -f python; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: > "$report"

environment() { # 30 seconds
    nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv ||
        echo "no nvidia-smi here"
    python -m benchmarks.gpu environment
}
losses() { python -m benchmarks.gpu losses; } # 120
steps() { python -m benchmarks.gpu steps; } # 60
pytorch() { # 100
    python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null || {
        echo "no PyTorch with CUDA here: not compared"; return 0; }
    for model in vae vqvae gated-pixelcnn; do
        python -m benchmarks.compare --backend cupy --rounds 5 --model $model || return; done
    python -m benchmarks.compare --backend cupy --rounds 3 --model vqvae --tf32
}
sampling() { python -m benchmarks.sampling --alone --backend cupy --rounds 1; } # 30
repeat() { python -m benchmarks.gpu repeat; } # 60
scripts() { # 80
    local train="--backend cupy --quiet --limit 200 --steps 5 --out $work"
    python train_mnist.py --model vae-iwae --dataset synthetic $train/iwae &&
    python train_mnist.py --model vqvae --dataset synthetic $train/vqvae &&
    python train_mnist.py --model prior --codes "$work/vqvae" $train/prior &&
    python train_cifar.py --model conv-vae --dataset synthetic $train/scenes &&
    python generate.py "$work/prior" --backend cupy --num 4 &&
    python evaluate.py "$work/iwae" --backend cupy --importance-samples 20 --limit 100 &&
    tail -n 2 "$work"/*/metrics.csv
}
suite() { # 120: what runs on CuPy, of which nothing may be skipped for want of it
    python -m pytest -q -rs -p no:cacheprovider -k "cupy or fused" --ignore=tests/browser | tee "$work/suite"
    local code=${PIPESTATUS[0]}
    ! grep -E "^SKIPPED|^CuPy: not here" "$work/suite" | grep -vE "'(torch|bottle)'" || {
        echo "*** skipped, see above"; return 1; }
    return "$code"
}
declare -A limit=([environment]=30 [losses]=120 [steps]=60 [pytorch]=100 [sampling]=30 [repeat]=60
                  [scripts]=80 [suite]=120)

export work
export -f "${stages[@]}"
summary=() failed=0
for stage in "${chosen[@]}"; do
    seconds=$((${limit[$stage]} * ${TIMES:-1}))
    printf '\n=== %s, at most %s s\n' "$stage" "$seconds" | tee -a "$report"
    start=$SECONDS
    timeout -k 5 "$seconds" bash -c "$stage" 2>&1 | tee -a "$report"
    code=${PIPESTATUS[0]}
    case $code in 0) result=passed ;; 124|137) result="stopped at its limit" ;;
        *) result="FAILED (exit code $code)" ;; esac
    [ "$code" = 0 ] || failed=1
    summary+=("$(printf '%-12s %-24s %4s s' "$stage" "$result" $((SECONDS - start)))")
    if [ "$stage" = environment ] && [ "$code" != 0 ]; then
        summary+=("no usable GPU: nothing else was tried"); break
    fi
done
{ printf '\n=== in short\n'; printf '%s\n' "${summary[@]}"; } | tee -a "$report"
echo "The report is in $report"
exit "$failed"
