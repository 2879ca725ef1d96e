import type { Texts } from './en.ts';

export const de: Texts = {
  language: 'de',

  signIn: 'Anmelden',
  signInTitle: 'Anmelden',
  signInLinkText: 'Drücken Sie den Knopf, um sich hier, in diesem Browser, anzumelden.',
  nameField: 'E-Mail-Adresse oder Benutzername',
  emailField: 'E-Mail-Adresse',
  passwordField: 'Passwort',
  forgotPassword: 'Passwort vergessen?',
  byLetter: 'Ohne Passwort anmelden: wir senden einen Code',
  byPassword: 'Mit Passwort anmelden',
  or: 'oder',
  withProvider: 'Mit {name} anmelden',
  toSignIn: 'Anmelden',
  sendCode: 'Code senden',
  sendCodeAgain: 'Neuen Code senden',
  codeSentTitle: 'Sehen Sie in Ihr Postfach',
  codeSent: 'Wenn es zu dieser Adresse ein Konto gibt, ist ein Brief mit Code und Link unterwegs.',
  codeField: 'Code aus dem Brief',

  signUp: 'Konto anlegen',
  signUpTitle: 'Konto anlegen',
  toSignUp: 'Noch kein Konto? Legen Sie eines an',
  choosePassword: 'Passwort, mindestens 8 Zeichen',
  signUpLetterSent:
    'Ein Brief an diese Adresse ist unterwegs. Öffnen Sie seinen Link, um die Adresse zu bestätigen; danach können Sie ' +
    'sich anmelden.',

  verifyTitle: 'Adresse bestätigen',
  verifyText: 'Wir haben einen Brief mit Code und Link an {email} gesendet.',
  confirm: 'Bestätigen',
  resend: 'Neuen Brief senden',
  resent:
    'Ein neuer Brief ist unterwegs; die Codes früherer Briefe gelten nicht mehr. Eine Adresse bekommt fünf Briefe in der ' +
    'Stunde.',
  later: 'Später, weiter zum Konto',

  forgotTitle: 'Passwort vergessen?',
  forgotText: 'Wir senden einen Brief mit einem Link, um ein neues zu setzen.',
  sendLetter: 'Brief senden',
  letterSent: 'Wenn es zu dieser Adresse ein Konto gibt, ist ein Brief unterwegs.',
  resetTitle: 'Neues Passwort setzen',
  setPassword: 'Passwort setzen',

  accountTitle: 'Ihr Konto',
  signedInAs: 'Angemeldet als {name}.',
  notVerified: 'Diese Adresse ist noch nicht bestätigt.',
  toVerify: 'Code aus dem Brief eingeben',
  signOut: 'Abmelden',
  signOutEverywhere: 'Überall abmelden',
  sessionsTitle: 'Wo Sie angemeldet sind',
  thisBrowser: 'dieser Browser',
  unknownDevice: 'unbekanntes Gerät',
  lastUsed: 'zuletzt benutzt {at}',
  end: 'Dort abmelden',
  identitiesTitle: 'Konten, mit denen Sie sich anmelden',
  unlink: 'Entfernen',
  unlinked: 'Das Konto ist entfernt: niemand meldet sich hier mehr damit an.',
  passwordTitle: 'Passwort',
  noPassword: 'Dieses Konto hat kein Passwort.',
  currentPassword: 'Jetziges Passwort',
  newPassword: 'Neues Passwort, mindestens 8 Zeichen',
  changePassword: 'Passwort ändern',
  passwordChanged: 'Ihr Passwort ist geändert. Alle anderen Sitzungen sind beendet.',
  emailTitle: 'E-Mail-Adresse',
  newEmail: 'Neue E-Mail-Adresse',
  changeEmail: 'Adresse ändern',
  emailAsked: 'Briefe sind unterwegs. Die Adresse ändert sich, sobald jeder bestätigt ist.',
  dataTitle: 'Ihre Daten',
  exportData: 'Alles herunterladen, was über Sie bekannt ist',
  deleteAccount: 'Konto löschen',
  deleteText: 'Das lässt sich nicht rückgängig machen. Schreiben Sie zur Bestätigung „{word}“.',
  deleteWord: 'löschen',
  deleteMismatch: 'Es wurde nichts gelöscht: das Wort war ein anderes.',
  deletedTitle: 'Ihr Konto ist gelöscht',
  deletedText: 'Sie können diese Seite schließen.',

  links: {
    verify: {
      title: 'Adresse bestätigen',
      text: 'Drücken Sie den Knopf, um zu bestätigen, dass diese E-Mail-Adresse Ihre ist.',
      button: 'Bestätigen',
    },
    emailChange: {
      title: 'Änderung Ihrer E-Mail-Adresse',
      text: 'Drücken Sie den Knopf, um die Änderung zu bestätigen, von der der Brief spricht.',
      button: 'Bestätigen',
    },
    unsubscribe: {
      title: 'Abbestellen',
      text: 'Drücken Sie den Knopf, und {address} bekommt keine Rundbriefe dieses Absenders mehr.',
      button: 'Abbestellen',
    },
  },
  outcomes: {
    verified: { title: 'Ihre Adresse ist bestätigt', text: 'Sie können diese Seite schließen.' },
    passwordSet: { title: 'Ihr Passwort ist gesetzt', text: 'Sie können sich jetzt damit anmelden.' },
    emailChanged: { title: 'Ihre Adresse ist geändert', text: 'Sie können diese Seite schließen.' },
    emailHalfChanged: {
      title: 'Danke',
      text: 'Auch die andere Adresse muss bestätigen: in jenem Postfach liegt ein Brief. Sie können diese Seite schließen.',
    },
    unsubscribed: { title: 'Sie haben abbestellt', text: 'Sie können diese Seite schließen.' },
  },

  faultTitle: 'Das hat nicht geklappt',
  otherFault: 'Das hat nicht geklappt. Versuchen Sie es gleich noch einmal.',
  faults: {
    'auth.invalid_credentials': 'Name oder Passwort ist falsch.',
    'auth.busy': 'Gerade melden sich sehr viele an. Versuchen Sie es gleich noch einmal.',
    'auth.second_factor_required': 'Dieses Konto hat einen zweiten Faktor, nach dem diese Seiten noch nicht fragen.',
    'challenges.code_invalid': 'Der Code ist falsch.',
    'challenges.code_expired':
      'Der Code wurde benutzt oder ersetzt, oder seine Zeit ist um. Fordern Sie einen neuen an.',
    'challenges.too_many_tries': 'Zu viele falsche Codes. Fordern Sie einen neuen an, oder versuchen Sie es später.',
    'challenges.link_expired': 'Der Link wurde benutzt oder ersetzt, oder seine Zeit ist um.',
    'challenges.link_invalid': 'Der Link ist unvollständig. Öffnen Sie den neuesten Brief.',
    'emails.unsubscribe_link_invalid': 'Der Link ist unvollständig. Benutzen Sie ihn so, wie er im Brief steht.',
    'http.foreign_form':
      'Dieses Formular kam von einer anderen Website. Öffnen Sie die Seite hier und senden Sie es noch einmal.',
    'http.invalid_request': 'Es fehlt etwas, oder es ist nicht so, wie es sein muss.',
    'http.invalid_request.email': 'Das ist keine E-Mail-Adresse.',
    'http.invalid_request.password': 'Ein Passwort hat mindestens 8 Zeichen.',
    'http.invalid_request.new_password': 'Ein Passwort hat mindestens 8 Zeichen.',
    'identities.answer_invalid':
      'Was die andere Seite über Sie sagt, ist nicht vertrauenswürdig. Versuchen Sie es noch einmal, oder melden Sie sich ' +
      'anders an.',
    'identities.email_unverified':
      'Die andere Seite sagt nicht, dass Ihre E-Mail-Adresse bestätigt ist, darum geht die Anmeldung so nicht.',
    'identities.last_way_in':
      'Ohne dieses Konto könnten Sie sich nicht mehr anmelden. Setzen Sie erst ein Passwort, oder bestätigen Sie Ihre ' +
      'Adresse.',
    'identities.not_found': 'Dieses Konto ist schon entfernt.',
    'identities.provider_unavailable': 'Die andere Seite ist nicht erreichbar. Versuchen Sie es gleich noch einmal.',
    'identities.sign_in_invalid': 'Dieser Versuch begann anderswo oder vor zu langer Zeit. Beginnen Sie noch einmal.',
    'identities.sign_in_refused': 'Die andere Seite hat Sie nicht angemeldet.',
    'identities.unknown_provider': 'Diese Art der Anmeldung gibt es hier nicht.',
    'limits.account': 'Zu viele Versuche. Versuchen Sie es in {seconds} Sekunden wieder.',
    'limits.source': 'Zu viele Versuche von hier. Versuchen Sie es in {seconds} Sekunden wieder.',
    'limits.system': 'Zu viele Versuche. Versuchen Sie es in {seconds} Sekunden wieder.',
    'tenants.unknown': 'Den Ort, zu dem diese Seite gehört, gibt es nicht.',
    'users.already_registered':
      'Zu dieser Adresse gibt es schon ein Konto. Melden Sie sich an, oder setzen Sie ein neues Passwort.',
    'users.common_password': 'Dieses Passwort ist zu bekannt. Wählen Sie ein anderes.',
    'users.registration_closed':
      'Hier legt niemand selbst ein Konto an. Fragen Sie danach, wer diesen Dienst betreibt.',
  },
};
