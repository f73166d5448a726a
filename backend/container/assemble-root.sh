#!/bin/sh
# assemble-root.sh FOLDER: the root file system of the image, out of the builder's Node and the
# sources and packages in the working directory. No shell and no package manager get into it.
set -eu
root=${1:?usage: assemble-root.sh FOLDER}
node=$(command -v node)

for folder in app bin dev etc keys proc state sys tmp; do mkdir -p "$root/$folder"; done
cp -L "$node" "$root/bin/node"
# Each library under the path at which the loader looks for it.
ldd "$node" | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
echo 'ota:x:10001:10001:ota:/state:/bin/false' >"$root/etc/passwd"
echo 'ota:x:10001:' >"$root/etc/group"
cp package.json tsconfig.json LICENSE "$root/app/"
cp -R agent hal backend node_modules "$root/app/"
chown 10001:10001 "$root/state"
chmod 700 "$root/state"
chmod 1777 "$root/tmp"
