#!/bin/sh
# The same small set of modules by five other tools, each asked by `recipe test-closure`.
#
#     benches/rivals.sh FOLDER [RECIPE [CLOSURE]]
#
# FOLDER takes the tools, the trees and the reports: FOLDER/NAME.json, and FOLDER/table.md with all of
# them side by side. RECIPE is the command [recipe], and
# CLOSURE one of ours to set beside them. Needs python3 with venv and pip; packages come
# from where pip is set to. What FOLDER has already is kept.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
recipe=$(command -v "${2:-recipe}")
recipe=$(cd "$(dirname "$recipe")" && pwd)/$(basename "$recipe")
closure=${3:+$(cd "$3" && pwd)}
here=$(cd "$(dirname "$0")" && pwd)
modules="pyyaml requests psutil"
names="uv-venv venv-pack pex pyinstaller shell-thunk"
cd "$folder"
# The program itself: `python3` may be a script that chooses one.
python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')

tools() {
    [ -x tools/bin/pyinstaller ] || {
        python3 -m venv tools
        tools/bin/pip install --quiet uv venv-pack pex pyinstaller
    }
    index=$(tools/bin/pip config get global.index-url 2>/dev/null || true)
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
}

# A virtual environment whose scripts do not hold its path.
uv_venv() {
    tools/bin/uv venv --quiet --relocatable --python "$python" uv-venv
    # shellcheck disable=SC2086
    tools/bin/uv pip install --quiet --python uv-venv/bin/python $modules
}

# An ordinary virtual environment, packed and unpacked elsewhere.
venv_pack() {
    python3 -m venv packed-from
    # shellcheck disable=SC2086
    packed-from/bin/pip install --quiet $modules
    tools/bin/venv-pack --quiet --prefix packed-from --output packed.tar.gz
    mkdir venv-pack
    tar -xzf packed.tar.gz -C venv-pack
}

# One file that is unpacked into a virtual environment.
pex() {
    # shellcheck disable=SC2086
    tools/bin/pex $modules --include-tools --output-file set.pex
    PEX_TOOLS=1 ./set.pex venv pex
}

# A frozen program that does what an interpreter would be asked to do.
pyinstaller() {
    python3 -m venv frozen-from
    # shellcheck disable=SC2086
    frozen-from/bin/pip install --quiet $modules pyinstaller
    cp "$here/rivals/frozen.py" frozen.py
    frozen-from/bin/pyinstaller --log-level ERROR --onedir --name frozen --distpath pyinstaller-dist \
        --hidden-import yaml --hidden-import requests --hidden-import psutil \
        $(frozen-from/bin/python -c 'import sys
skip = {"antigravity", "this", "idlelib", "turtledemo", "test", "lib2to3"}
for name in sorted(sys.stdlib_module_names - skip): print("--hidden-import", name)') frozen.py
    mv pyinstaller-dist/frozen pyinstaller
}

# What Scylla's script of 2019 makes: interpreter, libraries and loader of the machine it runs on, and a
# shell script that starts the one by the other.
shell_thunk() {
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    mkdir -p shell-thunk/bin shell-thunk/lib64 shell-thunk/libexec
    cp "$python" shell-thunk/libexec/python3.bin
    cp -a "$("$python" -c 'import os; print(os.path.dirname(os.__file__))')" "shell-thunk/lib64/$version"
    rm -rf "shell-thunk/lib64/$version/site-packages" "shell-thunk/lib64/$version/test"
    # Python looks for lib, the script puts lib64.
    ln -s lib64 shell-thunk/lib
    # shellcheck disable=SC2086
    tools/bin/pip install --quiet --target "shell-thunk/lib64/$version/site-packages" $modules
    "$python" "$here/rivals/libraries.py" shell-thunk | while read -r library; do
        cp -L "$library" shell-thunk/lib64/
    done
    cp "$here/rivals/thunk.sh" shell-thunk/bin/python3
    chmod 755 shell-thunk/bin/python3
}

# Asks the tree at $2, and calls it $1.
ask() {
    program=bin/python3
    case $1 in pyinstaller) program=frozen ;; esac
    "$recipe" --quiet test-closure "$2" --program "$program" --suite all --json >"$1.json" 2>"$1.log" || [ $? = 1 ]
}

tools
for name in $names; do
    make=$(echo "$name" | tr - _)
    [ -e "$name" ] || "$make"
    ask "$name" "$name"
done
if [ -n "$closure" ]; then
    ask closure "$closure"
    names="$names closure"
fi
# shellcheck disable=SC2086
python3 "$here/rivals/table.py" $names >table.md
echo "$folder/table.md"
