/** Whether the server wants a key before it answers. The key itself becomes an HttpOnly cookie and is kept nowhere here. */
class Session {
  wanted = $state(false)
}

export const session = new Session()
