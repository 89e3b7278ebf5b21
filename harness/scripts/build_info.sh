#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# build_info.sh COMPILER FLAGS MISSING -> the facts of this build as C macros on stdout.
commit=$(git rev-parse --short=10 HEAD 2>/dev/null || echo unversioned)
[ "$commit" = unversioned ] || git diff --quiet HEAD -- 2>/dev/null || commit="$commit-dirty"
echo "#define BUILD_COMMIT \"$commit\""
echo "#define BUILD_COMPILER \"$($1 --version 2>/dev/null | head -n 1 | tr -d '"\\')\""
echo "#define BUILD_FLAGS \"$2\""
echo "#define BUILD_WITHOUT \"$3\""
