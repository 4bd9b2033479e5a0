#!/bin/sh
# A worker in three calls of curl: ask for a trial, run it, tell the result. It needs curl, sed and awk.
#
#   RAYTUNE_HPO_TOKEN=... sh worker.sh http://127.0.0.1:8270 STUDY
#
# The objective here is (x - 3)^2. Trials that take longer than the term of a lease (60 s) also need a heartbeat, every
# 20 s: curl -X PUT $api/leases/$lease -d '{}'
set -eu
api="$1/v1/studies/$2"
worker="sh-$$"
patience="--retry 1000 --retry-delay 2 --retry-connrefused" # while the service is away, no trial is taken from its worker

call() { # METHOD PATH BODY
    curl --silent --show-error --fail-with-body $patience --request "$1" "$api/$2" --data "$3" --config - <<END
header = "Authorization: Bearer $RAYTUNE_HPO_TOKEN"
END
}

field() { # NAME: the number after "NAME": in what comes in
    sed -n "s/.*\"$1\":\(-\{0,1\}[0-9.][-+0-9.e]*\).*/\1/p"
}

while true; do
    given=$(call POST leases "{\"worker\": \"$worker\", \"wait_s\": 10}")
    case $given in
    *'"over":true'*) exit 0 ;;
    *'"assignments":[]'*) continue ;;
    esac
    number=$(printf %s "$given" | field number)
    attempt=$(printf %s "$given" | field attempt)
    x=$(printf %s "$given" | field x)

    loss=$(awk "BEGIN { print ($x - 3) ^ 2 }")

    call PUT "trials/$number/result" "{\"attempt\": $attempt, \"metrics\": {\"loss\": $loss}}" >/dev/null
    echo "trial $number: x=$x loss=$loss"
done
