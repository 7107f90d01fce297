/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Settings of a link that rtnetlink has not. */
#ifndef KERNEL_ETHTOOL_H
#define KERNEL_ETHTOOL_H

/*
 * Packets that leave by it have their checksums in them: what reads them from a raw socket does not
 * make them good, as a driver does. ns: its namespace, -1 the home one. A negative errno.
 */
int ethtool_no_tx_checksum(int ns, const char *link);

#endif
