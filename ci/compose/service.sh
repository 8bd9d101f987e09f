# Runs one service of a compose file where no Compose is at hand: `sh -c SCRIPT NAME COMMAND...`.
#
# An engine can start services and bind them; conditions, health checks, jobs that must complete and
# logs of a service that died it does not know. This script keeps all of that as files in a folder
# that the whole stack shares, so that dependents, and the driver that watches, see the same truth:
#   NAME.started   NAME.healthy   NAME.unhealthy   NAME.exit (the status)   NAME.blocked (by whom)
#   NAME.log (standard output and error)   NAME.health (what the last health check said)
#
# STACK_RUN is one bring-up: all marks are in a folder of that name, so those of an earlier one, which
# may have died in the middle, are never seen, and volumes are emptied once before their first use.
set -uf

name=$0
marks=$STACK_FOLDER/$STACK_RUN
(umask 0 && mkdir -p "$marks")
after=$STACK_AFTER health=$STACK_HEALTH volumes=$STACK_VOLUMES
interval=$STACK_INTERVAL start_interval=$STACK_START_INTERVAL
start_period=$STACK_START_PERIOD timeout=$STACK_TIMEOUT retries=$STACK_RETRIES
unset STACK_AFTER STACK_HEALTH STACK_VOLUMES STACK_INTERVAL STACK_START_INTERVAL \
    STACK_START_PERIOD STACK_TIMEOUT STACK_RETRIES STACK_FOLDER STACK_RUN

# A mark is there whole or not at all.
mark() { printf '%s\n' "$2" >"$marks/.$name.$1" && mv "$marks/.$name.$1" "$marks/$name.$1"; }

# The container stays: an engine would start a service that ended once more for the next dependent.
stay() { exec sleep infinity; }

blocked() {
    echo "not started: $1" >>"$marks/$name.log"
    mark blocked "$1"
    stay
}

empty_volumes() {
    for path in $volumes; do
        lock=$marks/$(printf '%s' "${path%%=*}").volume
        if mkdir "$lock" 2>/dev/null; then
            find "${path#*=}" -mindepth 1 -delete 2>>"$marks/$name.log" ||
                blocked "volume ${path%%=*} could not be emptied"
            mkdir "$lock/empty"
        else
            until [ -d "$lock/empty" ]; do sleep 0.05; done
        fi
    done
}

await() {
    condition=${1%%:*} service=${1#*:}
    while :; do
        if [ -e "$marks/$service.blocked" ]; then blocked "$service did not start"; fi
        if [ -e "$marks/$service.exit" ]; then
            status=$(cat "$marks/$service.exit")
            case $condition:$status in
            service_completed_successfully:0 | service_started:0) return ;;
            *) blocked "$service ended with status $status" ;;
            esac
        fi
        case $condition in
        service_started) if [ -e "$marks/$service.started" ]; then return; fi ;;
        service_healthy)
            if [ -e "$marks/$service.healthy" ]; then return; fi
            if [ -e "$marks/$service.unhealthy" ]; then blocked "$service is unhealthy"; fi
            ;;
        esac
        sleep 0.05
    done
}

# Until the first success, or until as many failures in a row as allowed: later on whoever uses the
# stack sees a service that stopped working, and one that ended leaves its status.
check_health() {
    began=$(date +%s) failures=0
    while [ ! -e "$marks/$name.exit" ]; do
        if timeout "$timeout" sh -c "$health" >"$marks/$name.health" 2>&1; then
            mark healthy "$(($(date +%s) - began)) s"
            return
        fi
        if [ $(($(date +%s) - began)) -lt "$start_period" ]; then
            sleep "$start_interval"
        else
            failures=$((failures + 1))
            if [ "$failures" -ge "$retries" ]; then
                mark unhealthy "$failures failures in a row"
                return
            fi
            sleep "$interval"
        fi
    done
}

empty_volumes
for need in $after; do await "$need"; done
if [ -n "$health" ]; then check_health & fi
mark started "$(date +%s)"
"$@" >>"$marks/$name.log" 2>&1
mark exit "$?"
stay
