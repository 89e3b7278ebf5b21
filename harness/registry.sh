#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# Variant files, one "path|reason not built" a line on stdin -> the registry's C source on stdout.
# kernels/<folder>/<op>/<target>_<nn>_<idea>.c is variant <target>_<nn>_<idea> of <op>.
awk -F'|' '
{
    n = split($1, part, "/")
    op = part[n - 1]; name = part[n]; sub(/\.[a-z]+$/, "", name)
    target = name; sub(/_.*/, "", target)
    symbol = "variant_" op "_" name
    if ($2 == "") declare = declare "extern const struct variant " symbol ";\n"
    rows = rows sprintf("    {%s, \"%s\", \"%s\", \"%s\", \"%s\", %s, 0},\n",
        $2 == "" ? "&" symbol : "NULL", op, name, target, $1, $2 == "" ? "NULL" : "\"" $2 "\"")
    count++
}
END {
    print "/* Generated from the file names under kernels/ by harness/registry.sh. */"
    print "#include \"registry_built_in.h\"\n"
    print declare
    print "const struct registry_entry registry_built_in[] = {"
    printf "%s", rows
    print "    {NULL, NULL, NULL, NULL, NULL, NULL, 0}};"
    print "const int registry_built_in_count = " count + 0 ";"
}'
