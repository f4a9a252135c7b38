/* See common.h. */
#define _GNU_SOURCE
#include "common.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char ** environ;

char *
formatted(const char * format, ...)
{
	va_list arguments;
	char * text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return (length < 0 ? NULL : text);
}

struct identity
identity_of(const char * path)
{
	struct stat status;

	if (path == NULL || stat(path, &status) != 0)
		return ((struct identity){0, 0});
	return ((struct identity){status.st_dev, status.st_ino});
}

int
is_same_file(struct identity a, struct identity b)
{

	return (a.inode != 0 && a.device == b.device && a.inode == b.inode);
}

const char *
basename_of(const char * path)
{
	const char * slash = strrchr(path, '/');

	return (slash == NULL ? path : slash + 1);
}

char *
directory_of(const char * path)
{
	const char * slash = strrchr(path, '/');

	if (slash == NULL)
		return (strdup("."));
	if (slash == path)
		return (strdup("/"));
	return (strndup(path, (size_t)(slash - path)));
}

static int
is_executable_file(const char * path)
{
	struct stat status;

	return (stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0);
}

char *
find_in_path(const char * name, const char * list, const struct identity * skipped, size_t skips)
{

	if (list == NULL)
		return (NULL);
	for (;;) {
		const char * end = strchrnul(list, ':');
		int length = (int)(end - list);
		/* An empty entry means the working directory. */
		char * path = length == 0 ? formatted("./%s", name) : formatted("%.*s/%s", length, list, name);

		if (path == NULL)
			return (NULL);
		if (is_executable_file(path)) {
			struct identity found = identity_of(path);
			size_t i = 0;

			while (i < skips && !is_same_file(found, skipped[i]))
				i++;
			if (i == skips)
				return (path);
		}
		free(path);
		if (*end == '\0')
			return (NULL);
		list = end + 1;
	}
}

char *
installation(void)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		return (NULL);
	self[length] = '\0';
	char * directory = directory_of(self);
	char * up = directory == NULL ? NULL : directory_of(directory);

	free(directory);
	return (up);
}

struct bytes
read_descriptor(int descriptor)
{
	const struct bytes nothing = {NULL, 0};
	struct stat status;
	struct bytes all = nothing;
	size_t room = 1 << 16;

	if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
		room = (size_t)status.st_size + 2; /* one more, to see the end without growing */
	if ((all.data = malloc(room)) == NULL)
		return (nothing);
	for (;;) {
		if (all.length + 1 == room) {
			char * larger = realloc(all.data, room *= 2);

			if (larger == NULL)
				break;
			all.data = larger;
		}
		ssize_t got = read(descriptor, all.data + all.length, room - all.length - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		if (got == 0) {
			all.data[all.length] = '\0';
			return (all);
		}
		all.length += (size_t)got;
	}
	free(all.data);
	return (nothing);
}

struct bytes
read_file(const char * path)
{
	struct bytes all = {NULL, 0};
	int descriptor = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (descriptor < 0)
		return (all);
	all = read_descriptor(descriptor);
	close(descriptor);
	return (all);
}

char *
project_file(void)
{
	char directory[PATH_MAX];

	if (getcwd(directory, sizeof(directory)) == NULL || directory[0] != '/')
		return (NULL);
	for (;;) {
		char * path = formatted("%s/gccllm.toml", directory);
		char * slash = strrchr(directory, '/');

		if (path != NULL && access(path, R_OK) == 0)
			return (path);
		free(path);
		if (slash == NULL)
			return (NULL);
		*slash = '\0';
	}
}

/* As platformdirs does: $<variable>, else the home directory and `fallback`. */
static char *
user_directory(const char * variable, const char * fallback)
{
	const char * named = getenv(variable);
	const char * home = getenv("HOME");
	const struct passwd * user;

	if (named != NULL && named[strspn(named, " \t")] != '\0')
		return (formatted("%s/gccllm", named));
	if (home == NULL && (user = getpwuid(getuid())) != NULL)
		home = user->pw_dir;
	return (home == NULL ? NULL : formatted("%s/%s/gccllm", home, fallback));
}

char *
user_file(void)
{
	char * directory = user_directory("XDG_CONFIG_HOME", ".config");
	char * path = directory == NULL ? NULL : formatted("%s/config.toml", directory);

	free(directory);
	if (path != NULL && access(path, R_OK) == 0)
		return (path);
	free(path);
	return (NULL);
}

char *
store_directory(void)
{
	const char * named = getenv("GCCLLM_CACHE_DIR");

	if (named != NULL && *named != '\0')
		return (strdup(named));
	return (user_directory("XDG_CACHE_HOME", ".cache"));
}

/* The value of `name = "value"` or `name = 12` above the first table header. No other TOML is understood. */
static char *
toml_value(const char * text, const char * name)
{
	size_t length = strlen(name);

	for (const char * line = text; *line != '\0'; line = strchrnul(line, '\n'), line += *line == '\n') {
		const char * at = line + strspn(line, " \t");

		if (*at == '[')
			return (NULL);
		if (strncmp(at, name, length) != 0)
			continue;
		at += length;
		at += strspn(at, " \t");
		if (*at++ != '=')
			continue;
		at += strspn(at, " \t");
		if (*at == '"' || *at == '\'') {
			const char stop[] = {*at, '\n', '\0'};
			size_t size = strcspn(at + 1, stop);

			return (at[1 + size] == *at ? strndup(at + 1, size) : NULL);
		}
		return (strndup(at, strcspn(at, " \t\r\n#")));
	}
	return (NULL);
}

static char *
setting_from_file(char * path, const char * name)
{
	struct bytes text = read_file(path);
	char * value = text.data == NULL ? NULL : toml_value(text.data, name);

	free(path);
	free(text.data);
	return (value);
}

char *
setting(const char * name)
{
	char variable[64] = "GCCLLM_";
	size_t prefix = strlen(variable);
	const char * set;
	char * value;

	for (size_t i = 0; name[i] != '\0' && prefix + i + 1 < sizeof(variable); i++)
		variable[prefix + i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
	if ((set = getenv(variable)) != NULL && *set != '\0')
		return (strdup(set));
	if ((value = setting_from_file(project_file(), name)) != NULL)
		return (value);
	return (setting_from_file(user_file(), name));
}

int
is_mode(const char * wanted)
{
	char * mode = setting("mode");
	int is = strcmp(mode == NULL ? "inline" : mode, wanted) == 0;

	free(mode);
	return (is);
}

void
add_field(struct blake2b * hash, const char * name, const void * data, size_t length)
{
	char head[128];
	int size = snprintf(head, sizeof(head), "%s %zu\n", name, length);

	blake2b_add(hash, head, (size_t)size);
	blake2b_add(hash, data, length);
}

static void
add_file(struct blake2b * hash, const char * name, const char * path)
{
	struct bytes all = read_file(path);

	if (all.data != NULL)
		add_field(hash, name, all.data, all.length);
	free(all.data);
}

/* Variables that say where, when or how long, but never what comes out. */
static int
is_setting(const char * variable)
{
	static const char * const other[] = {"ARGV", "BUDGET", "CACHE_DIR", "CC", "COMPILER", "DEPTH", "ENGINE", "MODE", "STATE_DIR", "STRICT"};
	const char * name = variable + strlen("GCCLLM_");

	if (strncmp(variable, "GCCLLM_", strlen("GCCLLM_")) != 0)
		return (0);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		size_t length = strlen(other[i]);

		if (strncmp(name, other[i], length) == 0 && name[length] == '=')
			return (0);
	}
	return (1);
}

static int
by_text(const void * a, const void * b)
{

	return (strcmp(*(char * const *)a, *(char * const *)b));
}

/* With GCCLLM_ISA=native the answer depends on the machine that builds. The first leaf's ebx names the core: left out. */
static void
add_processor(struct blake2b * hash)
{
	unsigned int leaf[3][4] = {{0}};

	__get_cpuid(1, &leaf[0][0], &leaf[0][1], &leaf[0][2], &leaf[0][3]);
	leaf[0][1] = 0;
	__get_cpuid_count(7, 0, &leaf[1][0], &leaf[1][1], &leaf[1][2], &leaf[1][3]);
	__get_cpuid_count(7, 1, &leaf[2][0], &leaf[2][1], &leaf[2][2], &leaf[2][3]);
	add_field(hash, "processor", leaf, sizeof(leaf));
}

void
add_circumstances(struct blake2b * hash)
{
	char * variables[256];
	size_t count = 0;
	char * project = project_file();
	char * user = user_file();
	char * store = store_directory();
	char * isa = setting("isa");

	add_field(hash, "version", GCCLLM_VERSION, strlen(GCCLLM_VERSION));
	for (char ** each = environ; *each != NULL && count < sizeof(variables) / sizeof(variables[0]); each++)
		if (is_setting(*each))
			variables[count++] = *each;
	qsort(variables, count, sizeof(variables[0]), by_text);
	for (size_t i = 0; i < count; i++)
		add_field(hash, "set", variables[i], strlen(variables[i]));
	add_file(hash, "user", user);
	if (project != NULL) {
		char * directory = directory_of(project);
		char * rewrites = directory == NULL ? NULL : formatted("%s/cache/rewrites", directory);
		struct stat status;

		add_file(hash, "project", project);
		if (rewrites != NULL && stat(rewrites, &status) == 0)
			add_field(hash, "rewrites", &status.st_mtim, sizeof(status.st_mtim));
		free(rewrites);
		free(directory);
	}
	if (store != NULL) {
		char * epoch = formatted("%s/epoch", store);

		add_file(hash, "epoch", epoch);
		free(epoch);
	}
	if (isa != NULL && strcmp(isa, "native") == 0)
		add_processor(hash);
	free(isa);
	free(store);
	free(user);
	free(project);
}

char **
environment(const char * const * removed, char * const * added)
{
	size_t count = 0, extra = 0, kept = 0;
	char ** fresh;

	while (environ[count] != NULL)
		count++;
	while (added[extra] != NULL)
		extra++;
	if ((fresh = calloc(count + extra + 1, sizeof(*fresh))) == NULL)
		return (NULL);
	for (size_t i = 0; i < count; i++) {
		size_t r = 0;

		for (; removed[r] != NULL; r++) {
			size_t length = strlen(removed[r]);

			if (strncmp(environ[i], removed[r], length) == 0 && environ[i][length] == '=')
				break;
		}
		if (removed[r] == NULL)
			fresh[kept++] = environ[i];
	}
	for (size_t i = 0; i < extra; i++)
		fresh[kept++] = added[i];
	return (fresh);
}
