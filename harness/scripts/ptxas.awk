# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# ptxas.awk   ptxas's verbose report, demangled, as lines of fields set apart by tabs:
#   kernel   name  architecture  registers  shared bytes  stack bytes  stores  loads  barriers
#   finding  name  what costs speed, with ptxas's code
# stores and loads are bytes of registers spilled to memory. Shared memory is the static part.
function short(name,    i, depth, letter) {   # without "void " and the parameters
    sub(/^void /, "", name)
    gsub(/\(anonymous namespace\)::/, "", name)
    for (i = 1; i <= length(name); i++) {
        letter = substr(name, i, 1)
        if (letter == "<") depth++
        else if (letter == ">") depth--
        else if (letter == "(" && depth == 0) return substr(name, 1, i - 1)
    }
    return name
}
function quoted(line) {
    return match(line, /'[^']*'/) ? substr(line, RSTART + 1, RLENGTH - 2) : "?"
}
function number(line, before) {   # the whole number that stands in front of a word
    return match(line, "[0-9]+ " before) ? substr(line, RSTART, RLENGTH) + 0 : 0
}
function found(kernel, text) {
    if (!seen[kernel, text]++) print "finding\t" kernel "\t" text
}
BEGIN { OFS = "\t" }
/\(C75[0-9][0-9]\)/ {
    match($0, /\(C75[0-9][0-9]\)/)
    code = substr($0, RSTART + 1, RLENGTH - 2)
    text = substr($0, RSTART + RLENGTH + 1)
    kernel = "?"
    if (cut = match(text, / in (the )?function '/)) {
        kernel = short(quoted(substr(text, cut)))
        text = substr(text, 1, cut - 1)
    }
    sub(/^Potential Performance Loss: /, "", text)
    sub(/ in around line [0-9]+/, "", text)
    sub(/[.;: ]+$/, "", text)
    found(kernel, text " (" code ")")
}
/Compiling entry function/ {
    name = $0
    sub(/.*Compiling entry function '/, "", name)
    arch = name
    sub(/' for '.*/, "", name)
    sub(/.*' for '/, "", arch)
    sub(/'.*/, "", arch)
    kernel_name = short(name)
    entry = 1
}
/Function properties for/ { entry = index($0, name) > 0 }
/bytes stack frame/ {
    if (!entry) next   # a function that was not inlined; its kernel shows the stack
    stack = number($0, "bytes stack frame")
    stores = number($0, "bytes spill stores")
    loads = number($0, "bytes spill loads")
}
/: Used [0-9]+ registers/ {
    print "kernel", kernel_name, arch, number($0, "registers"), number($0, "bytes smem"), stack, \
        stores, loads, number($0, "barriers")
    if (stores + loads > 0)
        found(kernel_name, \
            "spills registers for " arch ": " stores " bytes stored, " loads " loaded")
}
