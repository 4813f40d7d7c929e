# The same as kubectl.sh in one command, with an exit code for each way it can go, the cause, and an early end where a person
# has to act. Executed by cli/tests/pipelines.rs against a real API server.
kubectl cloudop wait "$NAME" --timeout "$TIMEOUT"
