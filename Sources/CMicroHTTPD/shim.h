#include <microhttpd.h>
#include <string.h>

// What Swift cannot call by itself: MHD_start_daemon takes its options as variable arguments.

/// Bounds of one daemon, so that no client can take more than its part.
struct crosscut_http_bounds {
  unsigned int connections;
  unsigned int connections_per_address;
  /// Bytes of a connection's request line, headers and buffers.
  size_t connection_memory;
  /// Seconds without a byte after which a connection is closed.
  unsigned int timeout_seconds;
};

/// Leaves %-escapes as they are: no path here has any, and %00 would end a C string early.
static inline size_t crosscut_http_keep_escapes(
    void *context, struct MHD_Connection *connection, char *text) {
  (void)context;
  (void)connection;
  return strlen(text);
}

/// The socket of a connection, or -1.
static inline int crosscut_http_socket(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == NULL ? -1 : info->connect_fd;
}

/// Starts a daemon with one thread of its own on a listening socket, which it will close.
static inline struct MHD_Daemon *crosscut_http_start(
    int listening, MHD_AccessHandlerCallback handler,
    MHD_NotifyConnectionCallback connected, MHD_RequestCompletedCallback completed,
    void *context, struct crosscut_http_bounds bounds) {
  return MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, context,
      MHD_OPTION_LISTEN_SOCKET, listening,
      MHD_OPTION_NOTIFY_CONNECTION, connected, context,
      MHD_OPTION_NOTIFY_COMPLETED, completed, context,
      MHD_OPTION_CONNECTION_LIMIT, bounds.connections,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, bounds.connections_per_address,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, bounds.connection_memory,
      MHD_OPTION_CONNECTION_TIMEOUT, bounds.timeout_seconds,
      MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_UNESCAPE_CALLBACK, crosscut_http_keep_escapes, NULL,
      MHD_OPTION_END);
}
