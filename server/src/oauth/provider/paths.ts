/** Where the calls of OAuth are, by the names that `oidc-provider` has for them. */
export const paths = {
  authorization: '/oauth/authorize',
  token: '/oauth/token',
  userinfo: '/oauth/userinfo',
  jwks: '/.well-known/jwks.json',
  registration: '/oauth/register',
  revocation: '/oauth/revoke',
  introspection: '/oauth/introspect',
  end_session: '/oauth/logout',
  device_authorization: '/oauth/device',
  code_verification: '/device',
  pushed_authorization_request: '/oauth/par',
};
