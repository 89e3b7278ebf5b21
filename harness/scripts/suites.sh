#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# suites.sh FILE.txt...   The suites that come with the program -> their C source on stdout, so that
# the program needs no file beside it.
echo '/* Generated from harness/suites/ by harness/scripts/suites.sh. */'
echo '#include "sweep/run_cases.h"'
echo
echo 'const struct suite suites[] = {'
for file; do
    name=${file##*/}
    printf '    {"%s",\n' "${name%.txt}"
    sed -e 's/[\\"]/\\&/g' -e 's/^/     "/' -e 's/$/\\n"/' "$file"
    echo '    },'
done
echo '    {0}};'
