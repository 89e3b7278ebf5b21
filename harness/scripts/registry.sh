#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# Variant files, one "path|reason not built" a line on stdin -> the registry's C source on stdout.
# kernels/<folder>/<op>/<target>_<nn>_<idea>.c is variant <target>_<nn>_<idea> of <op>. Its source hash
# is over the contents of the file and of all it includes from kernels/, and of nothing else, so that
# it changes exactly when the kernel may compute otherwise or take another time.
variants=$(mktemp) && trap 'rm -f "$variants"' EXIT
cat >"$variants"
sources=$(find kernels -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' 2>/dev/null)
{
    [ -z "$sources" ] || sha256sum $sources
    [ -z "$sources" ] || grep -H '^# *include *"' $sources
} | awk -v variants="$variants" '
# Two polynomials below 2^32, whose products with a byte stay exact in a double.
function hash_text(text,   i, n, c) {
    n = length(text)
    for (i = 1; i <= n; i++) {
        c = ord[substr(text, i, 1)]
        low = (low * 65599 + c) % 4294967291
        high = (high * 48271 + c) % 4294967279
    }
}
function word32(value) { return sprintf("%04x%04x", int(value / 65536), value % 65536) }
# Everything a file includes, itself first, each once, in the order met: that order is its own.
function walk(path,   i, n, names, name, folder, found) {
    if (path in seen || !(path in sum)) return
    seen[path] = 1
    hash_text(sum[path])
    folder = path; sub(/[^\/]*$/, "", folder)
    n = split(includes[path], names, " ")
    for (i = 1; i <= n; i++) {
        name = names[i]
        found = ("kernels/" name) in sum ? "kernels/" name : folder name
        walk(found)
    }
}
function source_hash(path,   name) {
    if (!(path in sum)) return "0"
    for (name in seen) delete seen[name]
    low = 1; high = 1
    walk(path)
    return "UINT64_C(0x" word32(high) word32(low) ")"
}
BEGIN { for (i = 0; i < 16; i++) ord[sprintf("%x", i)] = i + 1 }
/^[0-9a-f]+  kernels\// { sum[$2] = $1; next }
/:# *include/ {
    path = $0; sub(/:.*/, "", path)
    name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
    includes[path] = includes[path] name " "
}
END {
    while ((getline line <variants) > 0) {
        split(line, field, "|")
        n = split(field[1], part, "/")
        op = part[n - 1]; name = part[n]; sub(/\.[a-z]+$/, "", name)
        target = name; sub(/_.*/, "", target)
        symbol = "variant_" op "_" name
        if (field[2] == "") declare = declare "extern const struct variant " symbol ";\n"
        rows = rows sprintf("    {%s, \"%s\", \"%s\", \"%s\", \"%s\", %s, 0, %s},\n",
            field[2] == "" ? "&" symbol : "NULL", op, name, target, field[1],
            field[2] == "" ? "NULL" : "\"" field[2] "\"", source_hash(field[1]))
        count++
    }
    print "/* Generated from the files under kernels/ by harness/scripts/registry.sh. */"
    print "#include \"variant/registry_built_in.h\"\n"
    print declare
    print "const struct registry_entry registry_built_in[] = {"
    printf "%s", rows
    print "    {NULL, NULL, NULL, NULL, NULL, NULL, 0, 0}};"
    print "const int registry_built_in_count = " count + 0 ";"
}'
