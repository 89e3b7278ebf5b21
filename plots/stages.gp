# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# stages.gp   block 0 goes on with: 4 rows
#   columns of block 1: 1 case  2 text_s  3 denoise_s  4 decode_s  5 total_s  6 status
DATA = ARG1
BASE = ARG2
load ARG0[1:strlen(ARG0) - strlen("stages.gp")]."style.gp"
rows = 0
longest = 0
stats DATA index 0 using (rows = int(column(4)), 0) nooutput
stats DATA index 1 every ::1 using (n = strlen(strcol(1)), longest = n > longest ? n : longest, 0) \
    nooutput

set title "Where does the time of a clip go?"
set xlabel "share of the time (percent); numbers are seconds"
set xrange [0:108]
set xtics 0, 10, 100
set format x "%g"
set yrange [(rows < 4 ? 4 : rows) - 0.4:-0.6]
points = longest > 64 ? 8 : 10
face = sprintf(",%d", points)
set ytics font face scale 0
left = 0.03 + 0.00064 * points * longest
set lmargin at screen (left < 0.65 ? left : 0.65)
set bmargin at screen 0.215
set grid xtics linestyle 20
set key horizontal maxrows 1 width 2 at screen 0.012, screen 0.11
set style fill solid 1 border rgb "#202020"

upto(k) = sum [c = 2:k] column(c)
share(k) = 100 * upto(k) / upto(4)
from(k) = k == 2 ? 0 : share(k - 1)
middle(k) = (from(k) + share(k)) / 2
inside(k) = share(k) - from(k) > 6 ? rounded(column(k)) : ""
stage(k) = k == 2 ? "text, image" : k == 3 ? "denoising" : "decoding"
shade(k) = word("#E69F00 #0072B2 #C8E4F4", k - 1)
ink(k) = word("#000000 #FFFFFF #000000", k - 1)

do for [kind in kinds] {
    eval terminal_of(kind)
    set output BASE.".".kind
    plot for [k = 2:4] DATA index 1 every ::1 \
            using (from(k)):0:(from(k)):(share(k)):($0 - 0.36):($0 + 0.36):ytic(1) \
            with boxxyerror linecolor rgb shade(k) linewidth 1 dashtype 1 title stage(k), \
        for [k = 2:4] DATA index 1 every ::1 using (middle(k)):0:(inside(k)) \
            with labels font ",10" textcolor rgb ink(k) notitle, \
        DATA index 1 every ::1 using (100.8):0:(rounded(column(5))." s".mark(6)) \
            with labels left font ",10" notitle
    set output
}
