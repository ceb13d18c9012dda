#!/usr/bin/env bash
# Tries the container image by running it:
#
#     packaging/image/build.sh && packaging/image/test.sh
#
# amd64: the daemon as the image starts it, with the environment and the broker's configuration of compose.yaml (but a port
# of its own), against a real mosquitto: readings from `cooltwin simulate` in the image, predictions on the broker, not
# as root, the health check well and ill, the saved state. arm64, emulated: check and predictions, byte for byte those of
# amd64. It needs root (or `buildah unshare`) and the Debian packages buildah, mosquitto, mosquitto-clients, qemu-user,
# python3-yaml.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { echo "packaging/image/test.sh: $*" >&2; }
for program in buildah mosquitto mosquitto_sub qemu-aarch64 python3; do
    command -v $program >/dev/null ||
        { say "no $program; on Debian: apt-get install buildah mosquitto mosquitto-clients qemu-user python3-yaml"; exit 1; }
done
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
archive=target/packages/cooltwin_${version}_image.tar
[ -f "$archive" ] || { say "no $archive; packaging/image/build.sh makes it"; exit 1; }

work=$(mktemp -d)
buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")
jobs=()
finish() {
    local status=$?
    [ $status = 0 ] || tail -n 20 "$work"/*.log >&2 || true
    [ ${#jobs[@]} = 0 ] || kill "${jobs[@]}" 2>/dev/null || true
    wait
    "${buildah[@]}" umount --all >/dev/null 2>&1 || true
    "${buildah[@]}" rm --all >/dev/null 2>&1 || true
    rm -rf "$work"
    [ $status = 0 ] || say FAILED
}
trap finish EXIT
fail() { say "$*"; exit 1; }

# Waits up to 20 s for a command to succeed.
until_true() {
    local left=100
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "in vain waited for: $*"
        sleep 0.2
    done
}


echo '==> amd64: start'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=mqtt://127.0.0.1:$port
mkdir "$work/broker"
sed -e "s/^listener .*/listener $port 127.0.0.1/" -e "s,^persistence_location .*,persistence_location $work/broker/," \
    packaging/image/mosquitto.conf >"$work/mosquitto.conf"
[ "$(id -u)" != 0 ] || echo 'user root' >>"$work/mosquitto.conf"
mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
jobs+=($!)

mapfile -t environment < <(python3 -c '
import sys, yaml
service = yaml.safe_load(open("packaging/image/compose.yaml"))["services"]["cooltwin"]
assert service["image"] == "cooltwin:" + sys.argv[1], service["image"]
for key, value in service["environment"].items():
    print("--env\n" + key + "=" + (sys.argv[2] if key == "COOLTWIN__MQTT__URL" else value))' "$version" "$url")
amd64=$("${buildah[@]}" from --quiet --arch amd64 "oci-archive:$archive")
# What is started and what checks it, from the image's configuration as Docker reads it.
python3 - "$archive" "$work" <<'PYTHON'
import json, sys, tarfile
archive = tarfile.open(sys.argv[1])
read = lambda digest: json.load(archive.extractfile("blobs/" + digest.replace(":", "/")))
index = read(json.load(archive.extractfile("index.json"))["manifests"][0]["digest"])
configs = [read(read(each["digest"])["config"]["digest"]) for each in index["manifests"]]
assert [c["architecture"] for c in configs] == ["amd64", "arm64"], configs
assert all(c["config"]["User"] == "65532:65532" for c in configs), configs
config = configs[0]["config"]
assert configs[1]["config"] == config, configs
open(sys.argv[2] + "/start", "w").write("\n".join(config["Entrypoint"] + config["Cmd"]) + "\n")
open(sys.argv[2] + "/health", "w").write("\n".join(config["Healthcheck"]["Test"][1:]) + "\n")
PYTHON
mapfile -t start <"$work/start"
mapfile -t health <"$work/health"
# A volume takes over the owner of the folder in the image.
root=$("${buildah[@]}" mount "$amd64")
cp -a "$root/var/lib/cooltwin" "$work/state"
in_image() {
    "${buildah[@]}" run --isolation chroot --volume "$work/state:/var/lib/cooltwin" "${environment[@]}" "$amd64" -- "$@"
}

in_image "${start[@]}" >"$work/cooltwin.log" 2>&1 &
jobs+=($!)
begin=$(date +%s%N)
until_true mosquitto_sub -p "$port" -t cooltwin/main/status -C 1 -W 1
[ "$(mosquitto_sub -p "$port" -t cooltwin/main/status -C 1 -W 5)" = online ] || fail 'the daemon is not online'
pid=$(pgrep -f '^/usr/bin/cooltwin run --config /etc/cooltwin/cooltwin.toml$' -n)
[ "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$pid/status")" = '65532 65532 65532 65532' ] || fail 'runs as another user'
[ "$(awk '/^CapEff:/ { print $2 }' "/proc/$pid/status")" = 0000000000000000 ] || fail 'has capabilities'

echo '==> amd64: predictions'
mosquitto_sub -p "$port" -t 'hvac/+/predictions' -C 3 -W 30 >"$work/predictions.log" &
listener=$!
in_image /usr/bin/cooltwin simulate --mqtt "$url" --units 1 --rows 5 --step 1s --qos 1 >"$work/simulate.log" 2>&1
wait $listener || fail 'no predictions'
python3 - "$work/predictions.log" <<'PYTHON'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) == 3 and all(isinstance(line[t], float) for line in lines for t in ("UCAOT", "UCWOT", "UCAF")), lines
print("   ", {key: lines[0][key] for key in ("unit", "UCAOT", "UCWOT", "UCAF", "quality")})
PYTHON
echo "    $((($(date +%s%N) - begin) / 1000000)) ms from the start of the image"

echo '==> amd64: health check and stop'
in_image "${health[@]}" >"$work/health.log" 2>&1 || fail 'the health check says ill'
kill -TERM "$pid"
wait "${jobs[1]}" || fail 'the daemon did not stop cleanly'
[ -n "$(find "$work/state" -type f -uid 65532)" ] || fail 'no state was saved'
if in_image "${health[@]}" >"$work/health.log" 2>&1; then fail 'the health check says well after the stop'; fi
grep -q offline "$work/health.log" || fail 'the health check does not say offline'

echo '==> arm64, emulated'
arm64=$("${buildah[@]}" from --quiet --arch arm64 "oci-archive:$archive")
root_arm64=$("${buildah[@]}" mount "$arm64")
emulated() { qemu-aarch64 -cpu cortex-a53 -L "$root_arm64" "$root_arm64/usr/bin/cooltwin" "$@"; }
cd "$work"
in_image /usr/bin/cooltwin simulate --rows 40 >readings.csv
in_image /usr/bin/cooltwin predict - <readings.csv >amd64.jsonl
bundle=$root_arm64/usr/share/cooltwin/models/unit-cooler
emulated check --config "$root_arm64/etc/cooltwin/cooltwin.toml" --set bundle.path="$bundle" >check.log
emulated predict --bundle "$bundle" readings.csv >arm64.jsonl
[ -s amd64.jsonl ] && cmp amd64.jsonl arm64.jsonl
echo "    check, and $(wc -l <arm64.jsonl) predictions equal to the byte"
echo 'packaging/image/test.sh: everything holds'
