/**
 * Served at `/passkeys.js`. Passkeys are the one thing that no form can do alone: the script shows the forms that need
 * them, asks the browser, and sends its answer as a field of the form.
 */
export const passkeysScript = `
for (const form of document.querySelectorAll('form[data-passkey]')) {
  if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) continue;
  const { passkey, options: path, failed } = form.dataset;
  const said = form.querySelector('[aria-live]');
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    said.textContent = '';
    try {
      const fields = new URLSearchParams(new FormData(form));
      for (const name of ['ceremony', 'response']) fields.delete(name);
      const reply = await fetch(path, { method: 'POST', body: fields });
      if (reply.redirected) return void location.assign(reply.url);
      if (!reply.ok) throw new Error(reply.statusText);
      const { ceremony, options } = await reply.json();
      const publicKey = passkey === 'create'
        ? PublicKeyCredential.parseCreationOptionsFromJSON(options)
        : PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const credential = await navigator.credentials[passkey]({ publicKey });
      form.elements.ceremony.value = ceremony;
      form.elements.response.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      said.textContent = failed;
    }
  });
}
`;
