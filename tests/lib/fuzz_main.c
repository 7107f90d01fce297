/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a libFuzzer target as an ordinary test: every file of its corpus as it is, then a fixed
 * number of changed ones, always the same. Usage: fuzz-NAME DIRECTORY. Prints TAP; what the target
 * does wrong is found by the sanitizers, which end the program.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGED  50000 /* inputs made from those of the corpus */
#define MAX_SIZE 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *data;
	size_t size;
};

static struct input *inputs;
static size_t n_inputs;

static uint32_t next_random(void)
{
	static uint32_t x = 2463534242;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static void add_file(const char *path)
{
	struct input in = { .data = malloc(MAX_SIZE) };
	FILE *f = fopen(path, "re");

	inputs = realloc(inputs, (n_inputs + 1) * sizeof(*inputs));
	if (!f || !in.data || !inputs) {
		perror(path);
		exit(1);
	}
	in.size = fread(in.data, 1, MAX_SIZE, f);
	fclose(f);
	inputs[n_inputs++] = in;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_corpus(const char *dir)
{
	struct dirent **names = NULL;
	char path[PATH_MAX];
	int n = scandir(dir, &names, NULL, by_name);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			add_file(path);
		free(names[i]);
	}
	free(names);
}

/* An input of the corpus (or noise), with a few bytes changed, cut or said twice. */
static void run_changed(uint8_t *buf)
{
	size_t size = next_random() % 512;

	for (size_t i = 0; i < size; i++)
		buf[i] = (uint8_t)next_random();
	if (n_inputs && next_random() % 16) {
		const struct input *in = &inputs[next_random() % n_inputs];

		size = in->size;
		memcpy(buf, in->data, size);
	}
	for (unsigned changes = next_random() % 8; changes && size; changes--) {
		size_t at = next_random() % size;

		switch (next_random() % 4) {
		case 0:
			buf[at] = (uint8_t)next_random();
			break;
		case 1:
			buf[at] ^= (uint8_t)(1 << next_random() % 8);
			break;
		case 2:
			size = at;
			break;
		case 3:
			if (size + (size - at) <= MAX_SIZE) {
				memmove(buf + size, buf + at, size - at);
				size += size - at;
			}
			break;
		}
	}
	LLVMFuzzerTestOneInput(buf, size);
}

int main(int argc, char **argv)
{
	uint8_t *buf = malloc(MAX_SIZE);

	if (argc != 2 || !buf)
		return 2;
	read_corpus(argv[1]);
	printf("1..2\n");
	for (size_t i = 0; i < n_inputs; i++)
		LLVMFuzzerTestOneInput(inputs[i].data, inputs[i].size);
	printf("ok 1 - corpus of %zu inputs\n", n_inputs);
	for (unsigned i = 0; i < CHANGED; i++)
		run_changed(buf);
	printf("ok 2 - %d changed inputs\n", CHANGED);
	for (size_t i = 0; i < n_inputs; i++)
		free(inputs[i].data);
	free(inputs);
	free(buf);
	return 0;
}
