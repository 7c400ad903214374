#!/usr/bin/env bash
# Lays the root of the container's image: the two programs, the shared libraries that they load, certificates, and a user.
#
#   root.sh PROGRAMS ROOT
set -euo pipefail

programs=$1
root=$2
[[ ! -e $root ]] || { echo "root.sh: $root exists; wanted a new folder" >&2; exit 1; }

mkdir -p "$root"/{usr/bin,etc/ssl/certs,run,var/lib,tmp}
# Where the distribution has links from the root to /usr, the image has them too.
for folder in bin lib lib64; do
  mkdir -p "$root/usr/$folder"
  ln -s "usr/$folder" "$root/$folder"
done
chmod 1777 "$root/tmp"

install -m 0755 "$programs/sluiced" "$programs/sluicectl" "$root/usr/bin/"
strip "$root/usr/bin/sluiced" "$root/usr/bin/sluicectl"
# What the loader finds for them, by the paths at which it looks. The C library loads those of name services by itself.
{
  ldd "$programs/sluiced" "$programs/sluicectl" | awk '$3 ~ /^\// {print $3} $1 ~ /^\// && NF == 2 && $1 !~ /:$/ {print $1}'
  ls /lib/*-linux-gnu*/libnss_{files,dns}.so.2
} | sort -u | while read -r library; do
  mkdir -p "$root/usr$(dirname "${library#/usr}")"
  cp -L "$library" "$root/usr${library#/usr}"
done

# The owner of the two folders; the numbers are those of the chart.
for folder in run/sluice var/lib/sluice; do
  install -d -m 0755 "$root/$folder"
  chown 10001:10001 "$root/$folder" 2>/dev/null || true
done
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/:/nonexistent
sluice:x:10001:10001:Sluice:/var/lib/sluice:/nonexistent
END
cat >"$root/etc/group" <<'END'
root:x:0:
sluice:x:10001:
END
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
[[ ! -f /etc/ssl/certs/ca-certificates.crt ]] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

# Each program finds all it loads, in this root alone.
for program in sluiced sluicectl; do
  missing=$(ldd "$root/usr/bin/$program" | grep 'not found' || true)
  [[ -z $missing ]] || { echo "root.sh: $program misses: $missing" >&2; exit 1; }
done
