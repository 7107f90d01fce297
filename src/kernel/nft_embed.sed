# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes a C string literal of a text, line by line. The build uses it on ruleset.nft.
s/["\\]/\\&/g
s/^/"/
s/$/\\n"/
