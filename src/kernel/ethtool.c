/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/ethtool.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/netns.h"

static int set_off(void *link)
{
	struct ethtool_value off = { .cmd = ETHTOOL_STXCSUM };
	struct ifreq request = { .ifr_data = (void *)&off };
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	str_copy(request.ifr_name, sizeof(request.ifr_name), link);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

int ethtool_no_tx_checksum(int ns, const char *link)
{
	return netns_call(ns, set_off, (void *)link);
}
