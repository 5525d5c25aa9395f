#!/usr/bin/env bash
# On a machine with an NVIDIA GPU, CuPy and (for the speeds) PyTorch with CUDA: is the CuPy backend
# right, and how fast is it? Writes what it finds to a report; exits with 1 if anything failed.
#
#     bash benchmarks/gpu_check.sh [REPORT]          (default: gpu-report.txt)
set -uo pipefail
report=$(realpath "${1:-gpu-report.txt}")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
: > "$report"

say() { printf '\n=== %s\n' "$*" | tee -a "$report"; }
try() { # a command; what it prints goes to the screen and into the report
    printf '$ %s\n' "$*" | tee -a "$report"
    "$@" 2>&1 | tee -a "$report"
    local code=${PIPESTATUS[0]}
    [ "$code" = 0 ] || { failed=1; printf '*** exit code %s\n' "$code" | tee -a "$report"; }
}

say "the machine"
try nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
try python -c 'from scratchnet import backend; backend.use("cupy"); print(backend.versions())'
[ "$failed" = 0 ] || { echo "no usable GPU: nothing else can be checked"; exit 1; }

say "the whole test suite, on CuPy too (nothing of it may be skipped for want of a GPU)"
try python -m pytest -q -rs

say "a short training of every model"
mnist=(python train_mnist.py --dataset synthetic --backend cupy --steps 60 --quiet)
cifar=(python train_cifar.py --dataset synthetic --backend cupy --steps 20 --quiet)
for model in autoencoder vae vae-paper vae-iwae conv-vae vqvae pixelcnn gated-pixelcnn; do
    try "${mnist[@]}" --model $model --out "$work/$model"
done
for model in conv-vae vqvae pixelcnn gated-pixelcnn; do
    try "${cifar[@]}" --model $model --out "$work/cifar-$model"
done
try python train_mnist.py --model prior --codes "$work/vqvae" --backend cupy --steps 60 \
    --quiet --out "$work/prior"
try python generate.py "$work/prior" --backend cupy --num 4
try python evaluate.py "$work/vae-iwae" --backend cupy --importance-samples 20 --limit 500

say "the time of a training step against PyTorch's"
if python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    try python -m benchmarks.compare --backend cupy --rounds 7
else
    echo "no PyTorch with CUDA here: not measured" | tee -a "$report"
fi

say "$([ "$failed" = 0 ] && echo "everything passed" || echo "something failed, see above")"
echo "The report is in $report"
exit "$failed"
