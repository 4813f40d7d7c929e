# Ends when the operation NAME does; exit code 0 only if it succeeded. TIMEOUT has to be longer than the operation.
# Executed by tests/gates.rs against a real API server.
set -e
kubectl wait "cloudop/$NAME" --for=condition=Finished --timeout="$TIMEOUT"
kubectl wait "cloudop/$NAME" --for=condition=Succeeded --timeout=0s
