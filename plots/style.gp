# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# style.gp   What the figures share. Called as: gnuplot -d -c plots/NAME.gp DATA BASE, which draws
# BASE.png and BASE.svg. All text from outside comes as data, never as commands, and unenhanced.
#   block 0 of every data file: 1 caption  2 what is not shown  3 number of series (blocks follow)
# Colours are Okabe and Ito's; every series has its own marker and dash or pattern besides.

set encoding utf8
set datafile separator tab
set datafile missing "NaN"
caption = ""
not_shown = ""
series = 0
stats DATA index 0 using (caption = strcol(1), not_shown = strcol(2), series = int(column(3)), 0) \
    nooutput

colours = "#0072B2 #D55E00 #009E73 #CC79A7 #56B4E9 #E69F00 #000000 #7A5195 #8C6D1F #666666"
points = "7 5 9 13 6 4 8 12 1 2"
dashes = "1 2 4 5 3 1 2 4 5 3"
do for [i = 1:10] {
    set linetype i linecolor rgb word(colours, i) linewidth 2 dashtype int(word(dashes, i)) \
        pointtype int(word(points, i)) pointsize 1.3
}

set border 3 linecolor rgb "#404040"
set tics nomirror out textcolor rgb "#202020"
set style line 20 linecolor rgb "#D0D0D0" linewidth 0.8 dashtype 1
set style line 21 linecolor rgb "#ECECEC" linewidth 0.8 dashtype 1
set title noenhanced font ",16" offset 0, 0.4
set label 8 caption at screen 0.012, 0.045 left noenhanced font ",10" textcolor rgb "#404040"
set label 9 not_shown at screen 0.012, 0.018 left noenhanced font ",10" textcolor rgb "#404040"
set lmargin at screen 0.115
set rmargin at screen 0.985

# A number as people read it: two or three digits count.
rounded(v) = v < 0.1 ? sprintf("%#.2g", v) : v < 10 ? sprintf("%.2f", v) : \
    v < 100 ? sprintf("%.1f", v) : sprintf("%.0f", v)

# mark(k): what stands beside a time whose status, column k, is not the best.
mark(k) = strcol(k) eq "passed" ? "" : "*"

# Axis labels stand at the picture's edge: gnuplot pushes its own out of it where ticks are wide.
set label 7 "" at screen 0.014, graph 0.5 center rotate by 90

# The legend stands between the x label and the caption, in as many columns as it needs.
legend_rows = series < 5 ? series : 5
legend_top = 0.075 + 0.029 * legend_rows
set key noenhanced samplen 3 spacing 1.1 font ",11" Left reverse maxrows 5 \
    at screen 0.012, screen legend_top top left
set bmargin at screen legend_top + 0.095

# eval terminal_of(kind) at the head of each figure's loop over kinds
kinds = "png svg"
png = strstrt(GPVAL_TERMINALS, "pngcairo") ? "pngcairo" : "png"
terminal_of(kind) = kind eq "svg" ? \
    "set terminal svg size 1200,750 font 'DejaVu Sans,14' noenhanced background rgb 'white'" : \
    "set terminal ".png." size 1200,750 font 'DejaVu Sans,13' noenhanced"
